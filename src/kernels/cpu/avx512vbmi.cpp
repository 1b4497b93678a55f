// AVX-512 with VBMI and GFNI.

#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

namespace trit::kernels {

Table avx512vbmi_table() {
  Table table = avx512vnni_table();
  set_tile_rows(Isa::kAvx512Vbmi, table);
  return table;
}

}  // namespace trit::kernels
