#pragma once
// Opens and closes a region of code for one instruction set, so that no compiler flag of a file can
// leak wide instructions into inline functions that other files share.

#define TRIT_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define TRIT_TARGET_BEGIN(features) \
  TRIT_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define TRIT_TARGET_END TRIT_PRAGMA(clang attribute pop)
#else
#define TRIT_TARGET_BEGIN(features) TRIT_PRAGMA(GCC push_options) TRIT_PRAGMA(GCC target(features))
#define TRIT_TARGET_END TRIT_PRAGMA(GCC pop_options)
#endif

#define TRIT_INLINE inline __attribute__((always_inline))

// Before 16, clang declares the intrinsics of ARM's extensions only where a whole file is compiled for them.
#if defined(__aarch64__) && !(defined(__clang__) && __clang_major__ < 16)
#define TRIT_ARM_EXTENSIONS 1
#else
#define TRIT_ARM_EXTENSIONS 0
#endif
