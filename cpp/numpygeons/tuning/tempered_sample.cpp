/// Implements the choice of states.
#include "numpygeons/tuning/tempered_sample.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "numpygeons/base/log_ratio.hpp"
#include "numpygeons/math/log_sum.hpp"

namespace numpygeons {

namespace {

constexpr int n_bisections = 20;  // of the power

/// Weights exp(power log w), the largest 1, and their effective number.
double raise(std::span<const double> log_weights, double power, std::vector<double>& weights) {
  double sum = 0, squares = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = std::isfinite(log_weights[i]) ? exp_nonpositive(power * log_weights[i]) : 0.0;
    sum += weights[i];
    squares += weights[i] * weights[i];
  }
  return sum * sum / squares;
}

}  // namespace

std::vector<double> log_mixture(std::span<const double> v, std::span<const double> betas,
                                std::span<const double> log_z) {
  const std::size_t n_chains = betas.size();
  if (n_chains == 0 || log_z.size() != n_chains)
    throw std::invalid_argument("log_z must have one entry per chain: got " +
                                std::to_string(log_z.size()) + " for " + std::to_string(n_chains) +
                                " chains");
  std::vector<double> result(v.size(), minus_infinity);
  std::vector<double> terms(n_chains);
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (!std::isfinite(v[i])) continue;
    for (std::size_t c = 0; c < n_chains; ++c) terms[c] = betas[c] * v[i] - log_z[c];
    result[i] = log_sum_exp(terms);
  }
  return result;
}

std::vector<std::size_t> tempered_sample(std::span<const double> v,
                                         std::span<const double> log_mixture, double beta,
                                         std::size_t n_points, double least_size) {
  if (v.empty() || log_mixture.size() != v.size())
    throw std::invalid_argument("v and log_mixture must have one entry per state: got " +
                                std::to_string(v.size()) + " and " +
                                std::to_string(log_mixture.size()));
  std::vector<double> log_weights(v.size(), minus_infinity);
  for (std::size_t i = 0; i < v.size(); ++i) {
    if (std::isfinite(v[i])) log_weights[i] = beta * v[i] - log_mixture[i];
  }
  const double highest = std::ranges::max(log_weights);
  if (!std::isfinite(highest)) throw std::invalid_argument("no state has a finite V");
  for (double& weight : log_weights) weight -= highest;
  std::vector<double> weights(v.size());
  if (raise(log_weights, 1.0, weights) < least_size) {
    double low = 0, high = 1;
    for (int step = 0; step < n_bisections; ++step) {
      const double middle = 0.5 * (low + high);
      (raise(log_weights, middle, weights) < least_size ? high : low) = middle;
    }
    (void)raise(log_weights, low, weights);
  }
  double total = 0;
  for (const double weight : weights) total += weight;
  std::vector<std::size_t> chosen;
  chosen.reserve(n_points);
  double sum = weights[0];
  std::size_t i = 0;
  for (std::size_t point = 0; point < n_points; ++point) {
    const double mark = total * (static_cast<double>(point) + 0.5) / static_cast<double>(n_points);
    while (sum <= mark && i + 1 < weights.size()) sum += weights[++i];
    chosen.push_back(i);
  }
  return chosen;
}

}  // namespace numpygeons
