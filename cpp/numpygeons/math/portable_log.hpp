/// Computes a natural logarithm whose bits are the same on every platform.
#pragma once

#include <bit>
#include <cstdint>

namespace numpygeons {

/// log(x) for a positive, finite, normal x, to two units in the last place, from basic IEEE
/// operations in a fixed order. For draws, which must not depend on the math library.
/// Source: log x = e log 2 + 2 atanh((m - 1) / (m + 1)), x = m 2^e, m in [0.75, 1.5).
[[nodiscard]] constexpr double portable_log(double x) noexcept {
  constexpr double log2_high = 0x1.62e42feep-1;       // 32 bits: exponent * log2_high is exact
  constexpr double log2_low = 0x1.a39ef35793c76p-33;  // log(2) - log2_high
  constexpr std::uint64_t bits_of_three_quarters = 0x3FE8000000000000ULL;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const std::int64_t exponent = static_cast<std::int64_t>(bits - bits_of_three_quarters) >> 52;
  const auto mantissa = std::bit_cast<double>(bits - (static_cast<std::uint64_t>(exponent) << 52));
  const double s = (mantissa - 1.0) / (mantissa + 1.0);
  const double s2 = s * s;
  double series = 0.0;  // s2 <= 0.04: the first term left out is below 1e-18 of the sum
  for (int odd = 25; odd >= 3; odd -= 2) series = s2 * (1.0 / odd + series);
  const auto e = static_cast<double>(exponent);
  return e * log2_high + (2.0 * s + (2.0 * s * series + e * log2_low));
}

}  // namespace numpygeons
