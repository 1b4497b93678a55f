# The libraries that an aarch64 build links, in place of find_package: headers are the host's where they are the
# same for every machine, static libraries come from Debian's arm64 packages, unpacked below the build
# folder, so nothing of another architecture is installed.
set(trit_arm ${CMAKE_BINARY_DIR}/libraries)
if(NOT EXISTS ${trit_arm}/done)
  execute_process(COMMAND ${CMAKE_SOURCE_DIR}/tools/fetch_aarch64_libraries.sh ${trit_arm}
                  COMMAND_ERROR_IS_FATAL ANY)
endif()

function(trit_cross_library name file)
  add_library(${name} STATIC IMPORTED)
  set_target_properties(${name} PROPERTIES
    IMPORTED_LOCATION ${trit_arm}/usr/lib/aarch64-linux-gnu/${file}
    INTERFACE_INCLUDE_DIRECTORIES ${trit_arm}/usr/include)
endfunction()
trit_cross_library(ZLIB::ZLIB libz.a)
trit_cross_library(PkgConfig::PCRE2 libpcre2-8.a)
trit_cross_library(PkgConfig::UTF8PROC libutf8proc.a)
set_target_properties(PkgConfig::UTF8PROC PROPERTIES INTERFACE_COMPILE_DEFINITIONS UTF8PROC_STATIC)

add_library(trit_fmt STATIC ${CMAKE_CURRENT_LIST_DIR}/fmt.cpp)
add_library(fmt::fmt ALIAS trit_fmt)
find_package(nlohmann_json REQUIRED)

set(INSTALL_GTEST OFF)
add_subdirectory(/usr/src/googletest ${CMAKE_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
target_compile_options(gtest PRIVATE -w)
set(GTest_FOUND ON)
