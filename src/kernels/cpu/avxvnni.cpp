// AVX2 with vpdpbusd on 256 bits.

#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

namespace trit::kernels {

Table avxvnni_table() {
  Table table = avx2_table();
  set_tile_rows(Isa::kAvxVnni, table);
  return table;
}

}  // namespace trit::kernels
