/// Adds numbers that are given by their logarithms, without overflow.
#include "numpygeons/math/log_sum.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>

#include "numpygeons/base/vectorised.hpp"

namespace numpygeons {

namespace {
constexpr std::size_t block_width = 64;
}

NUMPYGEONS_VECTORISED double log_sum_exp(std::span<const double> x) noexcept {
  double largest = -std::numeric_limits<double>::infinity();
  for (const double value : x) largest = std::max(largest, value);
  if (!std::isfinite(largest)) return largest;
  double sum = 0.0;
  std::array<double, block_width> terms{};
  for (std::size_t start = 0; start < x.size(); start += block_width) {
    const std::size_t count = std::min(block_width, x.size() - start);
    for (std::size_t b = 0; b < count; ++b) terms[b] = exp_nonpositive(x[start + b] - largest);
    for (std::size_t b = 0; b < count; ++b) sum += terms[b];
  }
  return largest + std::log(sum);
}

}  // namespace numpygeons
