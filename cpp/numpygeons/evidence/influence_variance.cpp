/// Chooses between the error by scans and the error by tours.
#include "numpygeons/evidence/influence_variance.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "numpygeons/evidence/influence.hpp"
#include "numpygeons/evidence/inputs.hpp"
#include "numpygeons/evidence/long_run_variance.hpp"
#include "numpygeons/evidence/tours.hpp"

namespace numpygeons {

double InfluenceVariance::sqrt_ratio() const noexcept {
  return series_variance > 0.0 ? std::sqrt(tour_variance / series_variance) : 1.0;
}

InfluenceVariance influence_variance(MatrixView<const double> influence,
                                     MatrixView<const std::uint32_t> replicas) {
  const LongRunVariance series = long_run_variance(sum_over_chains(influence));
  const TourVariance tours = tour_variance(influence, replicas);
  const auto n = static_cast<double>(influence.n_rows);
  InfluenceVariance result{.series_variance = series.variance / n,
                           .series_dof = series.dof,
                           .tour_variance = tours.variance / n,
                           .effective_tours = tours.effective_tours,
                           .autocorrelation_time = series.plain_variance > 0.0
                                                       ? series.variance / series.plain_variance
                                                       : 1.0};
  const bool by_tours = result.tour_variance > result.series_variance;
  result.variance = by_tours ? result.tour_variance : result.series_variance;
  result.dof = by_tours ? std::max(tours.effective_tours, 1.0) : series.dof;
  if (influence.n_rows < min_scans_for_error) {
    result.variance = std::numeric_limits<double>::quiet_NaN();
  }
  return result;
}

}  // namespace numpygeons
