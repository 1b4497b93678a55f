# What a page is made of as a C++ source: cmake -DFROM=page.html -DTO=page.cpp -DHEADER=train/page.h -DNAME=page -P embed.cmake
file(READ "${FROM}" text)
# Compilers take strings of 64 KiB; pieces stand one behind the other.
string(LENGTH "${text}" size)
set(pieces "")
set(at 0)
while(at LESS size)
  string(SUBSTRING "${text}" ${at} 8000 piece)
  string(APPEND pieces "R\"page(${piece})page\"\n")
  math(EXPR at "${at} + 8000")
endwhile()
file(WRITE "${TO}" "#include \"${HEADER}\"\n\nnamespace trit {\nstd::string_view ${NAME}() {\n  return\n${pieces};\n}\n}  // namespace trit\n")
