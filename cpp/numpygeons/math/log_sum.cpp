/// Adds numbers that are given by their logarithms, without overflow.
#include "numpygeons/math/log_sum.hpp"

#include <algorithm>
#include <limits>

namespace numpygeons {

double log_sum_exp(std::span<const double> x) noexcept {
  double largest = -std::numeric_limits<double>::infinity();
  for (const double value : x) largest = std::max(largest, value);
  if (!std::isfinite(largest)) return largest;
  double sum = 0.0;
  for (const double value : x) sum += exp_nonpositive(value - largest);
  return largest + std::log(sum);
}

}  // namespace numpygeons
