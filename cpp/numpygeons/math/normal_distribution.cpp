/// Inverts the error function by Newton steps from a closed-form start.
#include "numpygeons/math/normal_distribution.hpp"

#include <cmath>
#include <limits>
#include <numbers>

namespace numpygeons {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double slope_at_zero = 2.0 * std::numbers::inv_sqrtpi;  // of erf

/// The start for erf(y) = x, given log(1 - x^2): within 0.4 percent.
/// Winitzki, "A handy approximation for the error function and its inverse", 2008.
double start(double log_remainder) {
  constexpr double a = 0.147;
  const double half = 2.0 / (std::numbers::pi * a) + 0.5 * log_remainder;
  const double square = std::sqrt(half * half - log_remainder / a) - half;
  return std::sqrt(std::fmax(square, 0.0));
}

/// For 0 <= x <= 0.5: Halley steps on erf(y) - x; the error is cubed by each.
double central_inverse(double x) {
  double y = x < 0.05 ? x / slope_at_zero : start(std::log1p(-x * x));
  for (int step = 0; step < 3; ++step) {
    const double newton = (std::erf(y) - x) / (slope_at_zero * std::exp(-y * y));
    y -= newton / (1.0 + y * newton);
  }
  return y;
}

/// For 0 < q <= 0.5: Newton steps on log erfc(y) - log q, which is nearly a parabola.
double tail_inverse(double q) {
  const double log_q = std::log(q);
  double y = start(log_q + std::log1p(1.0 - q));
  for (int step = 0; step < 6; ++step) {
    const double remainder = std::erfc(y);
    if (remainder <= 0.0) break;
    const double change =
        (std::log(remainder) - log_q) * remainder * std::exp(y * y) / slope_at_zero;
    y += change;
    if (std::abs(change) < 1e-9 * y) break;  // the next step would be below the rounding error
  }
  return y;
}

}  // namespace

double normal_cdf(double x) noexcept { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double normal_quantile(double p) noexcept { return -std::numbers::sqrt2 * erfc_inverse(2.0 * p); }

double erf_inverse(double x) noexcept {
  if (!(std::abs(x) <= 1.0)) return std::numeric_limits<double>::quiet_NaN();
  if (std::abs(x) == 1.0) return std::copysign(infinity, x);
  const double size = std::abs(x);
  return std::copysign(size <= 0.5 ? central_inverse(size) : tail_inverse(1.0 - size), x);
}

double erfc_inverse(double q) noexcept {
  if (!(q >= 0.0 && q <= 2.0)) return std::numeric_limits<double>::quiet_NaN();
  if (q == 0.0) return infinity;
  if (q >= 0.5) return erf_inverse(1.0 - q);
  return tail_inverse(q);
}

}  // namespace numpygeons
