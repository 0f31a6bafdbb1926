/// Checks what enters the evidence layer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "numpygeons/base/log_ratio.hpp"
#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// Below this many scans in a round an error is not estimated: it is NaN.
inline constexpr std::size_t min_scans_for_error = 64;

/// The number that stands for a log ratio of -inf. Finite, so that beta = 0 times it is 0, and so
/// low that every density ratio with it is exactly 0.
inline constexpr double lowest_log_ratio = -1e300;

/// V as the estimators read it: never below `lowest_log_ratio`, never NaN.
[[nodiscard]] constexpr double floored(double log_ratio) noexcept {
  return std::max(read_v(log_ratio), lowest_log_ratio);
}

/// Undoes `floored` for an average of log ratios: what only the floor can have made is -inf.
[[nodiscard]] double unfloored(double log_ratio) noexcept;

/// Throws std::invalid_argument unless `v` is n_scans x n_chains with n_scans >= 1 and no +inf,
/// and `betas` has one entry per chain, increases strictly, starts at 0 or above and ends at 1.
void check_log_ratios(MatrixView<const double> v, std::span<const double> betas);

/// Throws std::invalid_argument unless `replicas` has the shape of `v` and each row is a
/// permutation of 0 .. n_chains - 1.
void check_replicas(MatrixView<const std::uint32_t> replicas, std::size_t n_scans,
                    std::size_t n_chains);

}  // namespace numpygeons
