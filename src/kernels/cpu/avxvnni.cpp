// AVX2 with vpdpbusd on 256 bits.

#include "kernels/kernels.h"

namespace trit::kernels {

Table avxvnni_table() { return avx2_table(); }

}  // namespace trit::kernels
