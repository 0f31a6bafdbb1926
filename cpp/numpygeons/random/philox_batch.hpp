/// Makes consecutive Philox blocks, several at once.
#pragma once

#include <cstdint>
#include <span>

#include "numpygeons/random/philox.hpp"

namespace numpygeons {

/// The blocks of the counters `first`, `first` + 1, ... (word 0 alone counts, and wraps around),
/// two 64-bit words each, low word first. `out.size()` is a multiple of 16. The same bits as
/// `philox4x32`, whatever the processor offers.
void philox_words(PhiloxCounter first, PhiloxKey key, std::span<std::uint64_t> out) noexcept;

}  // namespace numpygeons
