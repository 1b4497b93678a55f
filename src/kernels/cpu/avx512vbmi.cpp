// AVX-512 with VBMI and GFNI.

#include "kernels/kernels.h"

namespace trit::kernels {

Table avx512vbmi_table() { return avx512vnni_table(); }

}  // namespace trit::kernels
