/// Holds the inverse temperatures of the chains.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "numpygeons/base/indices.hpp"

namespace numpygeons {

/// One beta per chain, in order of chains: strictly increasing, the first >= 0, the last 1.
class Schedule {
 public:
  /// Throws std::invalid_argument for betas that are empty, not finite, not strictly increasing,
  /// negative, or do not end at 1.
  explicit Schedule(std::vector<double> betas);

  /// k / (n_chains - 1) for k = 0, 1, ...; {1} for one chain, which is the target.
  [[nodiscard]] static Schedule equally_spaced(std::size_t n_chains);

  [[nodiscard]] std::span<const double> betas() const noexcept { return betas_; }
  [[nodiscard]] std::size_t n_chains() const noexcept { return betas_.size(); }
  [[nodiscard]] double beta(Chain chain) const noexcept { return betas_[chain.value]; }

  bool operator==(const Schedule&) const = default;

 private:
  std::vector<double> betas_;
};

}  // namespace numpygeons
