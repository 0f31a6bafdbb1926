/// Estimates the ratio of neighbouring normalising constants by the two stepping stones.
#include "numpygeons/evidence/stepping_stone.hpp"

#include <cmath>

#include "numpygeons/evidence/inputs.hpp"
#include "numpygeons/math/log_sum.hpp"

namespace numpygeons {

SteppingStone stepping_stone(MatrixView<const double> v, std::span<const double> betas) {
  check_log_ratios(v, betas);
  const std::size_t n = v.n_rows;
  const double log_n = std::log(static_cast<double>(n));
  SteppingStone result;
  std::vector<double> terms(n);
  for (std::size_t i = 0; i + 1 < betas.size(); ++i) {
    const double delta = betas[i + 1] - betas[i];
    for (std::size_t s = 0; s < n; ++s) terms[s] = delta * floored(v(s, i));
    result.forward.push_back(unfloored(log_sum_exp(terms) - log_n));
    for (std::size_t s = 0; s < n; ++s) terms[s] = -delta * floored(v(s, i + 1));
    result.backward.push_back(unfloored(log_n - log_sum_exp(terms)));
  }
  return result;
}

}  // namespace numpygeons
