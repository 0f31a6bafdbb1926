/// Adds numbers that are given by their logarithms, without overflow.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>

namespace numpygeons {

/// exp(x) for x <= 0 (-inf allowed), within 2 units in the last place; 0 below -708.
/// Free of branches and of calls, so that loops over it vectorise, and made of exactly rounded
/// operations only, so that it gives the same bits on every machine and at every vector width.
[[nodiscard]] inline double exp_nonpositive(double x) noexcept {
  constexpr double log2_e = 0x1.71547652b82fep+0;
  constexpr double ln2_high = 0x1.62e42fefa38p-1;  // 11 trailing zero bits: k * ln2_high is exact
  constexpr double ln2_low = 0x1.ef35793c7673p-45;
  constexpr double to_integer = 0x1.8p52;  // adding it rounds to the nearest integer
  const double shifted = x * log2_e + to_integer;
  const double k = shifted - to_integer;
  const double r = (x - k * ln2_high) - k * ln2_low;  // |r| <= log(2) / 2
  // The series up to r^13 / 13!, even and odd powers apart: two short chains of operations.
  const double square = r * r;
  double even = 1.0 / 479001600.0;
  double odd = 1.0 / 6227020800.0;
  even = even * square + 1.0 / 3628800.0;
  odd = odd * square + 1.0 / 39916800.0;
  even = even * square + 1.0 / 40320.0;
  odd = odd * square + 1.0 / 362880.0;
  even = even * square + 1.0 / 720.0;
  odd = odd * square + 1.0 / 5040.0;
  even = even * square + 1.0 / 24.0;
  odd = odd * square + 1.0 / 120.0;
  even = even * square + 0.5;
  odd = odd * square + 1.0 / 6.0;
  const double sum = 1.0 + (r + square * (even + r * odd));
  // The low bits of `shifted` hold k; moved into the exponent they are 2^k.
  const auto power = (std::bit_cast<std::uint64_t>(shifted) + 1023U) << 52U;
  const auto result = std::bit_cast<std::uint64_t>(sum * std::bit_cast<double>(power));
  // All bits set unless x < -708, where all of the above is meaningless. Asked of the sign, not by
  // comparing, lest the compiler branch.
  const std::uint64_t kept = (std::bit_cast<std::uint64_t>(x + 708.0) >> 63U) - 1U;
  return std::bit_cast<double>(result & kept);
}

/// 1 / (1 + exp(-x)) for any x, infinities included.
[[nodiscard]] inline double logistic(double x) noexcept {
  const double e = exp_nonpositive(-std::fabs(x));
  return (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}

/// log(sum of exp(x)); -inf when `x` is empty or all -inf. Plain sum in the order given.
[[nodiscard]] double log_sum_exp(std::span<const double> x) noexcept;

}  // namespace numpygeons
