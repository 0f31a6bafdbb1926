/// Says how a log ratio V counts that is not a number.
#pragma once

#include <limits>

namespace numpygeons {

inline constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

/// V as it counts: a NaN as -inf. The one place of this rule; whoever is handed a V reads it so.
[[nodiscard]] constexpr double read_v(double v) noexcept { return v == v ? v : minus_infinity; }

}  // namespace numpygeons
