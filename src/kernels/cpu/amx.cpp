// AMX.

#include "kernels/kernels.h"

namespace trit::kernels {

Table amx_table() { return avx512vbmi_table(); }

}  // namespace trit::kernels
