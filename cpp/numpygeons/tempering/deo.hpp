/// Pairs the chains of one scan: deterministic even-odd.
#pragma once

#include <cstddef>
#include <cstdint>

#include "numpygeons/base/indices.hpp"

namespace numpygeons {

/// The chain that `chain` may swap with in scan number `scan`; itself at an end.
/// Scans count from 1 in each round: odd ones pair (0, 1), (2, 3), ..., even ones (1, 2), (3, 4)
/// and so on. An involution: deo_partner(deo_partner(c)) == c.
/// Source: Okabe et al., Chem. Phys. Lett. 335, 2001; Syed et al., "Non-reversible parallel
/// tempering", JRSS B 84, 2022, section 3.
[[nodiscard]] constexpr Chain deo_partner(Chain chain, std::uint64_t scan,
                                          std::size_t n_chains) noexcept {
  const bool is_lower = (chain.value + scan) % 2 == 1;
  if (is_lower) return std::size_t{chain.value} + 1 < n_chains ? Chain{chain.value + 1} : chain;
  return chain.value > 0 ? Chain{chain.value - 1} : chain;
}

}  // namespace numpygeons
