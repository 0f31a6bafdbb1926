/// Turns a counter and a key into 128 random bits: Philox4x32-10.
#pragma once

#include <array>
#include <cstdint>

namespace numpygeons {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

/// The multipliers of words 0 and 2, and what the key grows by in each round.
inline constexpr std::array<std::uint32_t, 2> philox_multipliers{0xD2511F53U, 0xCD9E8D57U};
inline constexpr PhiloxKey philox_key_steps{0x9E3779B9U, 0xBB67AE85U};
inline constexpr int philox_n_rounds = 10;

/// The block that belongs to `counter` under `key`; for a fixed key a bijection of the counter.
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011,
/// sections 3.3 and 4.3.
[[nodiscard]] constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) noexcept {
  for (int round = 0; round < philox_n_rounds; ++round) {
    const std::uint64_t first = std::uint64_t{philox_multipliers[0]} * counter[0];
    const std::uint64_t second = std::uint64_t{philox_multipliers[1]} * counter[2];
    counter = {static_cast<std::uint32_t>(second >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(second),
               static_cast<std::uint32_t>(first >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(first)};
    key[0] += philox_key_steps[0];
    key[1] += philox_key_steps[1];
  }
  return counter;
}

}  // namespace numpygeons
