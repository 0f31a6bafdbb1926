/// Interpolates without overshoot: the monotone cubic of Fritsch and Carlson.
#pragma once

#include <span>
#include <vector>

namespace numpygeons {

/// A once differentiable curve through (x_i, y_i) that rises and falls only where the points do;
/// a straight line for two points. Error of order h^3 for smooth monotone data.
/// Source: Fritsch and Carlson, "Monotone piecewise cubic interpolation", SIAM J. Numer. Anal. 17,
/// 1980, section 4 (mean slopes, limited to the circle of radius 3).
class MonotoneCubic {
 public:
  /// Throws std::invalid_argument for fewer than two points, unequal lengths, values that are not
  /// finite and abscissae that do not increase strictly.
  MonotoneCubic(std::span<const double> x, std::span<const double> y);

  /// The curve and its derivative at `x`. Throws std::invalid_argument outside [x_first, x_last].
  [[nodiscard]] double value(double x) const;
  [[nodiscard]] double derivative(double x) const;

 private:
  [[nodiscard]] std::size_t interval_of(double x) const;

  std::vector<double> x_;
  std::vector<double> y_;
  std::vector<double> slope_;  // at each point
};

}  // namespace numpygeons
