/// Chooses between the error by scans and the error by tours.
#pragma once

#include <cstddef>
#include <cstdint>

#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// The variance of the mean over scans of a sum of influence values, in nats squared.
struct InfluenceVariance {
  /// The larger of the two below; NaN with fewer than 64 scans.
  double variance{};
  /// The degrees of freedom of the larger, at least 1.
  double dof{};
  /// From the initial monotone sequence of the sums over chains.
  double series_variance{};
  double series_dof{};
  /// From the tours of the replicas.
  double tour_variance{};
  double effective_tours{};
  /// Long-run over plain variance of the sums: scans per independent scan; 1 if constant.
  double autocorrelation_time{};

  /// sqrt(tour_variance / series_variance); 1 when both are 0.
  [[nodiscard]] double sqrt_ratio() const noexcept;
};

/// `influence` (centred over scans) and `replicas` are n_scans x n_chains, by chain.
[[nodiscard]] InfluenceVariance influence_variance(MatrixView<const double> influence,
                                                   MatrixView<const std::uint32_t> replicas);

}  // namespace numpygeons
