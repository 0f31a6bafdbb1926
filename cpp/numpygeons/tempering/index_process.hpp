/// Follows which replica stands at which chain.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "numpygeons/base/indices.hpp"

namespace numpygeons {

/// A permutation between chains and replicas, in both directions. Draws nothing.
class IndexProcess {
 public:
  /// Replica i at chain i. Throws std::invalid_argument for n_chains == 0.
  explicit IndexProcess(std::size_t n_chains);

  /// From the chain of each replica, in order of replicas. Throws std::invalid_argument for what
  /// is no permutation of 0, ..., n - 1.
  explicit IndexProcess(std::span<const Chain> chains);

  [[nodiscard]] std::size_t n_chains() const noexcept { return chains_.size(); }
  [[nodiscard]] Chain chain_of(Replica replica) const noexcept { return chains_[replica.value]; }
  [[nodiscard]] Replica replica_at(Chain chain) const noexcept { return replicas_[chain.value]; }
  [[nodiscard]] std::span<const Chain> chains() const noexcept { return chains_; }  // by replica
  [[nodiscard]] std::span<const Replica> replicas() const noexcept {                // by chain
    return replicas_;
  }

  /// Swaps, among the pairs of scan number `scan` (deo.hpp, from 1), those with
  /// uniforms[c] < acceptances[c], or the same of their logarithms (swap_rule.hpp); entry c belongs
  /// to the pair of chains (c, c + 1), shape (n_chains - 1,); the entries of pairs that are not
  /// active in this scan are not read. Returns the number of swaps. Throws std::invalid_argument
  /// for other shapes.
  std::size_t apply_swaps(std::uint64_t scan, std::span<const double> acceptances,
                          std::span<const double> uniforms);

  bool operator==(const IndexProcess&) const = default;

 private:
  std::vector<Chain> chains_;
  std::vector<Replica> replicas_;
};

}  // namespace numpygeons
