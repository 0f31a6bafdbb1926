/// Tells positions on the schedule (Chain) from identities of states (Replica).
#pragma once

#include <compare>
#include <cstdint>

namespace numpygeons {

/// A position on the schedule: 0 is the reference, n_chains - 1 the target.
struct Chain {
  std::uint32_t value{};
  constexpr auto operator<=>(const Chain&) const = default;
};

/// The identity of a state; its chain changes when it swaps.
struct Replica {
  std::uint32_t value{};
  constexpr auto operator<=>(const Replica&) const = default;
};

}  // namespace numpygeons
