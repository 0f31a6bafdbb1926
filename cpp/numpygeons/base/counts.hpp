/// Bounds what may be counted, so that products of counts do not overflow.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>

namespace numpygeons {

inline constexpr std::size_t most_chains = std::size_t{1} << 20;
/// Of anything else that is counted: coordinates, scans, numbers per replica.
inline constexpr std::size_t most_counted = std::size_t{1} << 40;

/// Throws std::invalid_argument unless least <= n <= most.
inline void check_count(const char* name, std::size_t n, std::size_t least, std::size_t most) {
  if (n < least)
    throw std::invalid_argument(std::string(name) + " must be at least " + std::to_string(least) +
                                ", got " + std::to_string(n));
  if (n > most)
    throw std::invalid_argument(std::string(name) + " must be at most " + std::to_string(most) +
                                ", got " + std::to_string(n));
}

/// The same, and returns n: for initialisers that allocate.
[[nodiscard]] inline std::size_t checked_count(const char* name, std::size_t n, std::size_t least,
                                               std::size_t most) {
  check_count(name, n, least, most);
  return n;
}

}  // namespace numpygeons
