// AMX.

#include "kernels/cpu/screen_rows.h"
#include "kernels/cpu/tile_kernels.h"
#include "kernels/kernels.h"

namespace trit::kernels {

Table amx_table() {
  Table table = avx512vbmi_table();
  set_tile_rows(Isa::kAmx, table);
  add_amx_screens(table);
  return table;
}

}  // namespace trit::kernels
