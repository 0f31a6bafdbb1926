/// Splits replicas into contiguous blocks, over ranks and then over their threads.
#pragma once

#include <algorithm>
#include <cstddef>

namespace numpygeons {

/// Consecutive indices [first, first + count).
struct Block {
  std::size_t first{}, count{};
};

/// Part `part` of `n` indices split into `n_parts`: in order, sizes differ by at most one, the
/// larger ones first. Empty where there are more parts than indices.
[[nodiscard]] constexpr Block block_of(std::size_t n, std::size_t n_parts,
                                       std::size_t part) noexcept {
  const std::size_t size = n / n_parts, larger = n % n_parts;
  return {part * size + std::min(part, larger), size + (part < larger ? 1 : 0)};
}

/// The part that holds `index` < n: inverse of `block_of`.
[[nodiscard]] constexpr std::size_t part_of(std::size_t index, std::size_t n,
                                            std::size_t n_parts) noexcept {
  const std::size_t size = n / n_parts, larger = n % n_parts, in_larger = larger * (size + 1);
  return index < in_larger ? index / (size + 1) : larger + (index - in_larger) / size;
}

/// Size of the largest part.
[[nodiscard]] constexpr std::size_t largest_block(std::size_t n, std::size_t n_parts) noexcept {
  return (n + n_parts - 1) / n_parts;
}

}  // namespace numpygeons
