/// Implements the adaptation rules.
#include "numpygeons/tuning/adaptation.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "numpygeons/math/normal_distribution.hpp"

namespace numpygeons {

namespace {

void require_rows(const char* name, std::size_t size, std::size_t n_rows) {
  if (n_rows == 0 || size % n_rows != 0)
    throw std::invalid_argument(std::string(name) + " must have one row per chain: got " +
                                std::to_string(size) + " numbers for " + std::to_string(n_rows) +
                                " chains");
}

/// Spread of the energy error at which a trajectory is accepted with probability `acceptance`.
double energy_spread(double acceptance) { return -2 * normal_quantile(0.5 * acceptance); }

}  // namespace

std::vector<double> tuned_steps(std::span<const double> steps, std::span<const double> acceptance,
                                double target, std::size_t n_scans) {
  if (steps.size() != acceptance.size())
    throw std::invalid_argument("steps and acceptance must have one length: got " +
                                std::to_string(steps.size()) + " and " +
                                std::to_string(acceptance.size()));
  const double edge = 1 / (2 * static_cast<double>(n_scans) + 2);
  const double wanted = energy_spread(target);
  std::vector<double> result(steps.begin(), steps.end());
  for (std::size_t c = 0; c < result.size(); ++c) {
    if (std::isnan(acceptance[c])) continue;
    const double spread = energy_spread(std::clamp(acceptance[c], edge, 1 - edge));
    result[c] = std::min(4.0, steps[c] * std::clamp(std::sqrt(wanted / spread), 0.1, 3.0));
  }
  return result;
}

std::vector<double> neighbour_variances(std::span<const double> old, std::span<const double> counts,
                                        std::span<const double> means,
                                        std::span<const double> squared_deviations,
                                        double prior_visits, bool skip_first) {
  const std::size_t n_chains = counts.size();
  require_rows("old", old.size(), n_chains);
  const std::size_t dimension = old.size() / n_chains;
  if (means.size() != old.size() || squared_deviations.size() != old.size())
    throw std::invalid_argument("means and squared_deviations must have the shape of old");
  std::vector<double> result(old.begin(), old.end());
  const std::size_t first = skip_first ? 1 : 0;
  for (std::size_t c = first; c < n_chains; ++c) {
    const std::size_t low = c > first ? c - 1 : c;
    const std::size_t high = std::min(c + 1, n_chains - 1);
    for (std::size_t k = 0; k < dimension; ++k) {
      double count = 0, mean = 0, squared = 0;
      for (std::size_t n = low; n <= high; ++n) {
        if (counts[n] == 0) continue;
        const double total = count + counts[n];
        const double gap = means[n * dimension + k] - mean;
        squared += squared_deviations[n * dimension + k] + gap * gap * count * counts[n] / total;
        mean += gap * counts[n] / total;
        count = total;
      }
      if (count == 0 || !(squared > 0)) continue;
      const double weight = count / (count + prior_visits);
      double& variance = result[c * dimension + k];
      variance = weight * (squared / count) + (1 - weight) * variance;
    }
  }
  return result;
}

std::vector<double> carry_over(std::span<const double> betas, std::span<const double> values,
                               std::span<const double> new_betas) {
  const std::size_t n = betas.size();
  require_rows("values", values.size(), n);
  const std::size_t width = values.size() / n;
  const std::size_t first = betas[0] == 0 ? 1 : 0;  // log beta has no place for 0
  std::vector<double> result(new_betas.size() * width);
  for (std::size_t c = 0; c < new_betas.size(); ++c) {
    std::size_t low = 0, high = 0;
    double share = 0;
    if (new_betas[c] > 0 && first < n) {
      const auto above = std::upper_bound(betas.begin() + static_cast<std::ptrdiff_t>(first),
                                          betas.end(), new_betas[c]);
      high = std::min(static_cast<std::size_t>(above - betas.begin()), n - 1);
      low = high > first ? high - 1 : first;
      if (high > low)
        share = std::clamp(std::log(new_betas[c] / betas[low]) / std::log(betas[high] / betas[low]),
                           0.0, 1.0);
    }
    for (std::size_t k = 0; k < width; ++k)
      result[c * width + k] =
          (1 - share) * values[low * width + k] + share * values[high * width + k];
  }
  return result;
}

}  // namespace numpygeons
