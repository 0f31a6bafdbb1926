/// Evaluates the probabilities that a state of unknown origin comes from each chain.
#include "numpygeons/evidence/mixture.hpp"

#include <algorithm>
#include <cmath>

#include "numpygeons/base/vectorised.hpp"
#include "numpygeons/evidence/inputs.hpp"
#include "numpygeons/math/log_sum.hpp"

namespace numpygeons {

Mixture::Mixture(std::span<const double> betas, std::span<const double> f,
                 std::span<const double> weights)
    : betas_(betas.begin(), betas.end()), probabilities_(betas.size() * width) {
  offsets_.reserve(betas.size());
  for (std::size_t k = 0; k < betas.size(); ++k) offsets_.push_back(f[k] + std::log(weights[k]));
}

NUMPYGEONS_VECTORISED void Mixture::evaluate(std::span<const double> log_ratios) {
  v_.fill(0.0);
  for (std::size_t b = 0; b < log_ratios.size(); ++b) v_[b] = floored(log_ratios[b]);
  for (std::size_t k = 0; k < betas_.size(); ++k) {
    double* const x = &probabilities_[k * width];
    const double beta = betas_[k];
    const double offset = offsets_[k];
    for (std::size_t b = 0; b < width; ++b) x[b] = offset + beta * v_[b];
    if (k == 0) {
      std::copy_n(x, width, largest_.begin());
    } else {
      for (std::size_t b = 0; b < width; ++b) largest_[b] = x[b] > largest_[b] ? x[b] : largest_[b];
    }
  }
  sum_.fill(0.0);
  for (std::size_t k = 0; k < betas_.size(); ++k) {
    double* const x = &probabilities_[k * width];
    for (std::size_t b = 0; b < width; ++b) x[b] = exp_nonpositive(x[b] - largest_[b]);
    for (std::size_t b = 0; b < width; ++b) sum_[b] += x[b];
  }
  std::array<double, width> inverse{};
  for (std::size_t b = 0; b < width; ++b) inverse[b] = 1.0 / sum_[b];
  for (std::size_t k = 0; k < betas_.size(); ++k) {
    double* const x = &probabilities_[k * width];
    for (std::size_t b = 0; b < width; ++b) x[b] *= inverse[b];
  }
}

std::array<double, Mixture::width> Mixture::log_denominator() const noexcept {
  std::array<double, width> result{};
  for (std::size_t b = 0; b < width; ++b) result[b] = largest_[b] + std::log(sum_[b]);
  return result;
}

NUMPYGEONS_VECTORISED double block_dot(const double* left, const double* right) noexcept {
  constexpr std::size_t n_lanes = 8;
  std::array<double, n_lanes> lanes{};
  for (std::size_t b = 0; b < Mixture::width; b += n_lanes) {
    for (std::size_t j = 0; j < n_lanes; ++j) lanes[j] += left[b + j] * right[b + j];
  }
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
         ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

std::array<double, Mixture::width> block_weights(std::span<const double> weights, std::size_t start,
                                                 std::size_t count) noexcept {
  std::array<double, Mixture::width> result{};
  std::size_t chain = start % weights.size();
  for (std::size_t b = 0; b < count; ++b) {
    result[b] = weights[chain];
    if (++chain == weights.size()) chain = 0;
  }
  return result;
}

}  // namespace numpygeons
