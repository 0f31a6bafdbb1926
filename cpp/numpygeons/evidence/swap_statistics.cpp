/// Averages the acceptance probabilities of all neighbouring pairs, with errors.
#include "numpygeons/evidence/swap_statistics.hpp"

#include <algorithm>
#include <limits>

#include "numpygeons/evidence/inputs.hpp"
#include "numpygeons/evidence/long_run_variance.hpp"
#include "numpygeons/math/log_sum.hpp"

namespace numpygeons {

namespace {

/// Mean of a series with the variance of that mean.
struct MeanWithError {
  double mean{};
  double variance{};
  double dof{};
};

MeanWithError mean_with_error(std::span<const double> series) {
  const auto n = static_cast<double>(series.size());
  double sum = 0.0;
  for (const double x : series) sum += x;
  const LongRunVariance error = long_run_variance(series);
  return {.mean = sum / n,
          .variance = series.size() < min_scans_for_error ? std::numeric_limits<double>::quiet_NaN()
                                                          : error.variance / n,
          .dof = error.dof};
}

}  // namespace

SwapStatistics swap_statistics(MatrixView<const double> v, std::span<const double> betas) {
  check_log_ratios(v, betas);
  SwapStatistics result;
  if (betas.size() == 1) return result;
  std::vector<double> accepted(v.n_rows);
  std::vector<double> rejections(v.n_rows, 0.0);
  for (std::size_t i = 0; i + 1 < betas.size(); ++i) {
    const double delta = betas[i + 1] - betas[i];
    for (std::size_t s = 0; s < v.n_rows; ++s) {
      const double log_ratio = delta * (floored(v(s, i)) - floored(v(s, i + 1)));
      accepted[s] = exp_nonpositive(std::min(log_ratio, 0.0));
      rejections[s] += 1.0 - accepted[s];
    }
    const MeanWithError pair = mean_with_error(accepted);
    result.acceptance.push_back(pair.mean);
    result.acceptance_variance.push_back(pair.variance);
    result.acceptance_dof.push_back(pair.dof);
  }
  const MeanWithError sum = mean_with_error(rejections);
  result.sum_of_rejections = sum.mean;
  result.sum_of_rejections_variance = sum.variance;
  result.sum_of_rejections_dof = sum.dof;
  return result;
}

}  // namespace numpygeons
