// Ternary tiles with AVX2.

#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

TRIT_TARGET_BEGIN("avx2")
#define TRIT_NAME(name) name##_avx2
#include "kernels/cpu/avx2_tiles.h"
TRIT_TARGET_END
#endif
