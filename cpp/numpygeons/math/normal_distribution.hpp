/// Computes the normal distribution function and its inverse.
#pragma once

namespace numpygeons {

/// P(X <= x) for X from N(0, 1). Relative error below 1e-15 (1 + x^2), also far in the lower tail.
[[nodiscard]] double normal_cdf(double x) noexcept;

/// The x with normal_cdf(x) = p, to a relative error of 1e-14; -inf at 0, inf at 1, NaN outside.
[[nodiscard]] double normal_quantile(double p) noexcept;

/// The y with erf(y) = x, to a relative error of 1e-14; -inf at -1, inf at 1, NaN outside.
[[nodiscard]] double erf_inverse(double x) noexcept;

/// The y with erfc(y) = q, to a relative error of 1e-14; inf at 0, -inf at 2, NaN outside.
[[nodiscard]] double erfc_inverse(double q) noexcept;

}  // namespace numpygeons
