/// Averages the acceptance probabilities of all neighbouring pairs, with errors.
#pragma once

#include <span>
#include <vector>

#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// Means over all scans of alpha_i = min(1, exp(delta_i (V[s, i] - V[s, i+1]))), whether or not the
/// pair was proposed to swap. Entries by neighbouring pair, n_chains - 1; variances are those of
/// the means, from the initial monotone sequence, NaN with fewer than 64 scans.
struct SwapStatistics {
  std::vector<double> acceptance;
  std::vector<double> acceptance_variance;
  std::vector<double> acceptance_dof;
  /// sum_i (1 - acceptance_i): the barrier of this finite schedule, below its limit Lambda(1).
  double sum_of_rejections{};
  /// The pairs' correlation within a scan is accounted for.
  double sum_of_rejections_variance{};
  double sum_of_rejections_dof{1.0};
};

/// `v` is n_scans x n_chains, by chain, -inf allowed. One chain has no pairs and the sum 0 without
/// error. Throws as `check_log_ratios`.
[[nodiscard]] SwapStatistics swap_statistics(MatrixView<const double> v,
                                             std::span<const double> betas);

}  // namespace numpygeons
