/// Estimates the ratio of neighbouring normalising constants by the two stepping stones.
#pragma once

#include <span>
#include <vector>

#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// Both estimates of log Z(beta_{i+1}) - log Z(beta_i), in nats, one per neighbouring pair; their
/// sums over pairs are the two classical estimates of log Z. For comparison only: the backward one
/// has terms of infinite variance under most schedules, and converges to the wrong value when the
/// target excludes part of the reference, hence so does the average of the two.
/// Xie et al. 2011; Fan et al. 2011.
struct SteppingStone {
  /// log mean_s exp(delta_i V[s, i]); -inf when V is -inf all along chain i.
  std::vector<double> forward;
  /// -log mean_s exp(-delta_i V[s, i+1]); -inf when V is -inf anywhere along chain i + 1.
  std::vector<double> backward;
};

/// From all scans and all pairs, not only those that were proposed to swap. `v` is
/// n_scans x n_chains, by chain. No pairs for one chain. Throws as `check_log_ratios`.
[[nodiscard]] SteppingStone stepping_stone(MatrixView<const double> v,
                                           std::span<const double> betas);

}  // namespace numpygeons
