// Builds without CUDA have no devices, so nobody comes here.

#include "base/error.h"
#include "bench/cuda/products.h"

namespace trit::bench {

std::vector<PaperFigure> cuda_product_figures(int device) {
  failure("cuda:{}: this trit was built without CUDA", device);
}

}  // namespace trit::bench
