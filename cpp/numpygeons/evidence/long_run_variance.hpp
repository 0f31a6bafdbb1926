/// Estimates the variance of the mean of a correlated series.
#pragma once

#include <span>

namespace numpygeons {

/// What a series of length n says about its mean.
struct LongRunVariance {
  /// Estimate of n times the variance of the mean, in the series' unit squared; 0 if constant.
  double variance{};
  /// Degrees of freedom of `variance`, n divided by the number of lags used, at least 1.
  double dof{};
  /// gamma_0, the plain variance with divisor n.
  double plain_variance{};
};

/// Initial monotone sequence with two corrections for short series: one for the centring, one for
/// the degrees of freedom. Sums of neighbouring autocovariances are taken up to the first that is
/// not positive and made to fall; an odd last lag is dropped. Needs at least one value.
/// Geyer 1992, section 3.3 (proved there for reversible chains; a heuristic here).
[[nodiscard]] LongRunVariance long_run_variance(std::span<const double> series);

}  // namespace numpygeons
