/// Averages the acceptance probabilities of all neighbouring pairs, with errors.
#include "numpygeons/evidence/swap_statistics.hpp"

#include <limits>
#include <vector>

#include "numpygeons/base/vectorised.hpp"
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

void fill_column(MatrixView<const double> v, std::size_t chain, std::vector<double>& out) {
  for (std::size_t s = 0; s < v.n_rows; ++s) out[s] = floored(v(s, chain));
}

/// The acceptance probabilities of one pair by scan, and the sum of rejections with them.
NUMPYGEONS_VECTORISED void accept(const double* lower, const double* upper, double delta,
                                  std::size_t n_scans, double* accepted, double* rejections) {
  for (std::size_t s = 0; s < n_scans; ++s) {
    const double log_ratio = delta * (lower[s] - upper[s]);
    accepted[s] = exp_nonpositive(log_ratio < 0.0 ? log_ratio : 0.0);
    rejections[s] += 1.0 - accepted[s];
  }
}

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
  std::vector<double> lower(v.n_rows);
  std::vector<double> upper(v.n_rows);
  fill_column(v, 0, upper);
  for (std::size_t i = 0; i + 1 < betas.size(); ++i) {
    lower.swap(upper);
    fill_column(v, i + 1, upper);
    accept(lower.data(), upper.data(), betas[i + 1] - betas[i], v.n_rows, accepted.data(),
           rejections.data());
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
