/// Estimates the variance of the mean of a correlated series.
#include "numpygeons/evidence/long_run_variance.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <vector>

#include "numpygeons/base/vectorised.hpp"
#include "numpygeons/evidence/influence.hpp"

namespace numpygeons {

namespace {

/// Autocovariance at `lag` of a centred series, divisor n. Eight partial sums, always in the same
/// order, so that the loop vectorises without giving up reproducible bits.
NUMPYGEONS_VECTORISED double autocovariance(std::span<const double> x, std::size_t lag) {
  constexpr std::size_t n_lanes = 8;
  std::array<double, n_lanes> lanes{};
  const std::size_t n_terms = x.size() - lag;
  const double* const left = x.data();
  const double* const right = x.data() + lag;
  std::size_t t = 0;
  for (; t + n_lanes <= n_terms; t += n_lanes) {
    for (std::size_t j = 0; j < n_lanes; ++j) lanes[j] += left[t + j] * right[t + j];
  }
  double sum = 0.0;
  for (const double lane : lanes) sum += lane;
  for (; t < n_terms; ++t) sum += left[t] * right[t];
  return sum / static_cast<double>(x.size());
}

}  // namespace

LongRunVariance long_run_variance(std::span<const double> series) {
  if (series.empty()) throw std::invalid_argument("series is empty: pass at least one value");
  std::vector<double> x(series.begin(), series.end());
  center_columns({x.data(), x.size(), 1});
  const auto n = static_cast<double>(x.size());
  const double plain = autocovariance(x, 0);
  double smallest = 0.0;
  double sum = 0.0;
  std::size_t n_pairs = 0;
  for (; n_pairs < x.size() / 2; ++n_pairs) {
    const std::size_t lag = 2 * n_pairs;
    const double pair = (lag == 0 ? plain : autocovariance(x, lag)) + autocovariance(x, lag + 1);
    if (pair <= 0.0) break;
    smallest = n_pairs == 0 ? pair : std::min(smallest, pair);
    sum += smallest;
  }
  const double n_lags = 4.0 * static_cast<double>(std::max<std::size_t>(n_pairs, 1)) - 1.0;
  const double truncated = std::max(2.0 * sum - plain, 1e-3 * plain);
  return {.variance = truncated * n / std::max(n - n_lags, n / 4.0),
          .dof = std::max(n / n_lags, 1.0),
          .plain_variance = plain};
}

}  // namespace numpygeons
