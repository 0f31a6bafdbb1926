/// Finds the slopes of the monotone cubic and evaluates it.
#include "numpygeons/math/monotone_cubic.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "numpygeons/base/to_text.hpp"

namespace numpygeons {
namespace {

std::string entry(const char* name, std::size_t i, double number) {
  return std::string(name) + "[" + std::to_string(i) + "] = " + to_text(number);
}

void check(std::span<const double> x, std::span<const double> y) {
  if (x.size() != y.size() || x.size() < 2)
    throw std::invalid_argument("x and y must have the same length, at least 2: got " +
                                std::to_string(x.size()) + " and " + std::to_string(y.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]))
      throw std::invalid_argument("x must be finite: got " + entry("x", i, x[i]));
    if (!std::isfinite(y[i]))
      throw std::invalid_argument("y must be finite: got " + entry("y", i, y[i]));
    if (i > 0 && x[i] <= x[i - 1])
      throw std::invalid_argument("x must increase strictly: " + entry("x", i, x[i]) +
                                  " does not exceed " + entry("x", i - 1, x[i - 1]));
  }
}

}  // namespace

MonotoneCubic::MonotoneCubic(std::span<const double> x, std::span<const double> y) {
  check(x, y);
  x_.assign(x.begin(), x.end());
  y_.assign(y.begin(), y.end());
  slope_.resize(x.size());
  const std::size_t n_intervals = x.size() - 1;
  std::vector<double> secant(n_intervals);
  for (std::size_t i = 0; i < n_intervals; ++i) secant[i] = (y[i + 1] - y[i]) / (x[i + 1] - x[i]);

  slope_.front() = secant.front();
  slope_.back() = secant.back();
  for (std::size_t i = 1; i < n_intervals; ++i) {
    const bool same_sign = (secant[i - 1] > 0.0) == (secant[i] > 0.0);
    slope_[i] = same_sign ? 0.5 * secant[i - 1] + 0.5 * secant[i] : 0.0;
  }
  for (std::size_t i = 0; i < n_intervals; ++i) {
    if (secant[i] == 0.0) {
      slope_[i] = slope_[i + 1] = 0.0;
      continue;
    }
    const double radius = std::hypot(slope_[i] / secant[i], slope_[i + 1] / secant[i]);
    if (radius <= 3.0) continue;
    slope_[i] *= 3.0 / radius;
    slope_[i + 1] *= 3.0 / radius;
  }
}

std::size_t MonotoneCubic::interval_of(double x) const {
  if (!(x >= x_.front() && x <= x_.back()))
    throw std::invalid_argument("x must lie in [" + to_text(x_.front()) + ", " +
                                to_text(x_.back()) + "], got " + to_text(x));
  const auto above = std::upper_bound(x_.begin() + 1, x_.end() - 1, x);
  return static_cast<std::size_t>(above - x_.begin()) - 1;
}

double MonotoneCubic::value(double x) const {
  const std::size_t i = interval_of(x);
  const double h = x_[i + 1] - x_[i];
  const double t = (x - x_[i]) / h;
  const double s = 1.0 - t;
  const double rise = t * t * (3.0 - 2.0 * t);  // 0 at the left end, 1 at the right
  const double bend = h * t * s * (s * slope_[i] - t * slope_[i + 1]);
  return y_[i] * (1.0 - rise) + y_[i + 1] * rise + bend;
}

double MonotoneCubic::derivative(double x) const {
  const std::size_t i = interval_of(x);
  const double h = x_[i + 1] - x_[i];
  const double t = (x - x_[i]) / h;
  const double s = 1.0 - t;
  return 6.0 * t * s * ((y_[i + 1] - y_[i]) / h) + s * (1.0 - 3.0 * t) * slope_[i] +
         t * (1.0 - 3.0 * s) * slope_[i + 1];
}

}  // namespace numpygeons
