#pragma once
// HeadScreen's candidates for several inputs in one pass over the weights, which are rounded to bfloat16 on the way
// (kernels::ManyScreen).
//
// The bound. w' = w rounded, E its row's |w - w'| and N the largest |w| of all rows, both measured once. x = h + l + e,
//   h and l in bfloat16.
//   screen S = sum w'_i (h_i + l_i), in floats: rounded at most K / 16 + 18 times, over terms that add up to no more
//   than 1.01 N (|h| + |l|); what underflows is below K 2^-120
//   product y = sum w_i x_i, in floats: K / 16 + 8 times, over terms that add up to no more than N |x|
//   w.x - w'.(h + l) = (w - w').x + w'.e
//   =>  |y - S| <= E |x| + base,   base = 1.01 N |e| + a N |x| + 1.01 b N (|h| + |l|) + K 2^-120
// with a and b the numbers of roundings times u = 2^-24, b with something for what is computed from S in floats.

#include <optional>
#include <vector>

#include "ops/matrix.h"
#include "ops/stored_matrix.h"

namespace trit {

class ManyScreen {
 public:
  // For a matrix [rows, columns], which must outlive it. Nothing where active() has no kernel for how it is stored.
  static std::optional<ManyScreen> of(const StoredMatrix& matrix, int64_t rows, int64_t columns);

  // As HeadScreen's, for up to kernels::kScreenTokens rows of x. The first call reads all weights once more.
  void candidates(ConstMatrix x, int64_t k, std::vector<std::vector<int32_t>>& found);

 private:
  // What is known of a row of x.
  struct Input {
    float norm = 0, base = 0;  // |x|, and what does not depend on the row of weights
    bool bounded = false;
  };
  ManyScreen(const StoredMatrix& matrix, int64_t rows, int64_t columns, kernels::ManyScreen kernel)
      : matrix_(matrix), rows_(rows), columns_(columns), kernel_(kernel) {}
  void measure_errors();
  Input prepare(const float* x, int64_t t, int64_t tiles);
  void screen(int64_t chunk, int64_t T);

  StoredMatrix matrix_;
  int64_t rows_, columns_;
  kernels::ManyScreen kernel_;
  Buffer<float> errors_;  // E of each row
  double norm_ = 0;       // N
  // Of the last inputs.
  std::vector<Input> inputs_;
  Buffer<uint16_t> parts_;  // as the kernel takes them
  Buffer<float> screened_;  // [T, rows]: no product is larger
  Buffer<float> largest_,
      certain_;  // [T, chunks]: the largest of a chunk, and a product that it has at least
};

}  // namespace trit
