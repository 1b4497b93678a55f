#include "kernels/kv.h"

namespace trit::kernels {

int64_t kv_head_page_bytes(KvType type, int64_t D) {
  int64_t bytes = 0;
  switch (type) {
    case KvType::kF32:
      bytes = kPagePositions * (D + value_columns(D)) * 4;
      break;
  }
  return (bytes + 63) / 64 * 64;
}

}  // namespace trit::kernels
