#pragma once
// The rows of a head that can be among the k with the largest products, found without computing the products.
//
// Every row is screened with the codes as they are stored and the input as integers: exact sums but for a few
// roundings, fewer instructions than floats take, and a bound on how far the result is from what
// StoredMatrix::multiply gives. Whoever then multiplies the rows that candidates() leaves has the k best of
// all rows, bit for bit. Several inputs are screened together where there is a kernel for that (ops/many_screen.h).
//
// The bound. Weights of a row w are d q, or d s q, in blocks with a scale d, |s q| <= c. Let N = c sqrt(sum of d^2 over
//   all weights), the largest of all rows: no Euclidean norm |w| is larger. x = step v + e, v of 16 bits.
//   screen S = sum w_i v_i, in floats: rounded at most K / 64 + 8 times on the way (u = 2^-24), over terms whose
//   magnitudes add up to no more than 3 N (256 |high| + |low|), v = 256 high + low
//   product y = sum w_i x_i, in floats: K / 16 + 8 times, over terms that add up to no more than N |x|; what
//   underflows is below K 2^-149
//   w.e is within N |e| (Cauchy-Schwarz)
//   =>  |y - step S| <= step B,   B = (N |e| + a N |x| + K 2^-149) / step + 3 b N (256 |high| + |low|)
// with a and b the numbers of roundings times u, and something for second orders and the rounding of B itself. A
// row whose S is below the k-th largest by more than 2 B is below k others.

#include <optional>
#include <vector>

#include "ops/many_screen.h"
#include "ops/matrix.h"
#include "ops/stored_matrix.h"

namespace trit {

class HeadScreen {
 public:
  // For a matrix [rows, columns], which must outlive it. Nothing where active() has no screen for its layout.
  // Reads the scales of all blocks where there is a kernel for one row of x.
  static std::optional<HeadScreen> of(const StoredMatrix& matrix, int64_t rows, int64_t columns);

  // Whether screening takes less time than the full head for so many rows of x.
  bool screens(int64_t count) const;

  // For up to kernels::kScreenTokens rows of x that it screens. found[t]: rows, in order, that hold the k <= rows of the largest products with x[t], tied ones by number; empty
  // when too many would be left to gain from it, or x[t] is not finite. x [T, columns].
  void candidates(ConstMatrix x, int64_t k, std::vector<std::vector<int32_t>>& found);

 private:
  using Kernel = decltype(kernels::Table::screen_q8_0);
  // One row of x, as kernels take it.
  struct Input {
    std::vector<int8_t> high, low;
    std::vector<int16_t> high_runs, low_runs;
    std::vector<int32_t> high_fours, low_fours;
    double bound = 0;  // B
    bool bounded = false;
    kernels::ScreenInput view() const;
  };
  static constexpr int64_t kFewestMany = 4;  // rows of x from which all together take less time
  static constexpr int64_t kMostAlone = 8;   // one by one, of more the full head is as fast
  HeadScreen(const StoredMatrix& matrix, int64_t rows, int64_t columns)
      : matrix_(matrix), rows_(rows), columns_(columns) {}
  bool together(int64_t count) const;
  void prepare(const float* x, Input& input) const;

  StoredMatrix matrix_;
  int64_t rows_, columns_;
  Kernel kernel_ = nullptr;  // of one row of x
  double norm_ = 0;          // N
  std::optional<ManyScreen> many_;
  // Of the last inputs.
  std::vector<Input> inputs_;
  Buffer<float> screened_;        // [T, rows]
  Buffer<float> best_, certain_;  // of each chunk of them the largest, and 2 B less
};

}  // namespace trit
