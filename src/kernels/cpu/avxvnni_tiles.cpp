// Ternary tiles with AVX-VNNI.

#include "kernels/cpu/target.h"
#include "kernels/cpu/tile_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

TRIT_TARGET_BEGIN("avx2,avxvnni")
#define TRIT_DPBUSD
#define TRIT_NAME(name) name##_avxvnni
#include "kernels/cpu/avx2_tiles.h"
TRIT_TARGET_END
#endif
