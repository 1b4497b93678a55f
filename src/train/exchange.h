#pragma once
// What the ranks of a data-parallel job exchange in a step, wherever it is computed: gradients go in, and after the owners'
// updates everybody has the weights that the forward pass reads.
//
//   gradients   each rank gets the sum of its own parts (reduce-scatter)
//   masters     stay with their owner; of the packed matrices the others get what the quantiser makes of them:
//               two bits a weight and the sums over blocks from which everybody finds the matrix's scale
//   floats      embedding, norms, head and a baseline's matrices are gathered as float32
//
// Every rank of the job makes the same calls in the same order. Results do not depend on how many there are (see shares.h),
// but for the order in which gradients are summed (base/reduce.h).

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/collectives.h"
#include "model/checkpoint.h"
#include "train/shares.h"

namespace trit {

class Exchange {
 public:
  // For models of this shape. `ranks` must outlive it.
  Exchange(Collectives& ranks, const Config& config);

  Collectives& ranks() const { return ranks_; }
  bool alone() const { return ranks_.size() == 1; }
  const Shares& shares() const { return shares_; }

  // This rank's part of a bucket of `gradients`, a whole flat array, becomes the sum of everybody's.
  void reduce(int bucket, std::span<float> gradients);
  // Squares of the gradients, summed for each group of rows: of the layer that a row belongs to (index layer + 1; those
  // outside the layers come first and last, as buckets). Of the parts that ranks own. The same on all ranks.
  std::vector<double> squares(std::span<const float> gradients);
  // After the owners updated their parts of the masters: renews the levels of the model and the floats of the others.
  // Throws Error, on all ranks alike, naming a tensor that is not finite.
  QuantisationStats renew(Model& model);

  // `values` are one number for each element of this rank's parts, in order (a moment), or a whole flat array of which
  // they are taken (masters). Rank 0 gets a whole flat array in `all`; the others pass nothing.
  void gather_own(std::span<const float> own, std::span<float> all);
  void gather_whole(std::span<float> flat);

 private:
  struct Block {
    size_t row;
    Stretch elements;
    int owner;
  };
  // A run of elements of one row and one owner, and where it stands in what everybody gathers.
  struct Piece {
    size_t row;
    Stretch elements;
    int owner;
    bool packed;
    int64_t at;
  };
  template <class T>
  std::vector<T> gather(std::span<const Block> blocks, const std::function<T(const Block&)>& make);
  std::vector<WeightQuantizer> quantizers(const Model& model);

  Collectives& ranks_;
  std::vector<TensorRow> table_;
  WeightKind kind_;
  Shares shares_;
  std::vector<Block> blocks_, packed_blocks_;  // in the order of the flat array
  std::vector<Piece> pieces_;                  // by owner
  std::vector<int64_t> piece_bytes_;           // of each rank
  std::vector<std::vector<size_t>> pieces_of_row_;
  std::vector<std::byte> gathered_;
  std::vector<float> memory_;
};

}  // namespace trit
