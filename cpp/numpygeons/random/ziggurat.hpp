/// Turns 64-bit words into standard normal draws: the ziggurat.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "numpygeons/math/portable_log.hpp"

namespace numpygeons {

/// A uniform draw in the open interval (0, 1): an odd multiple of 2^-53, from the top 52 bits.
[[nodiscard]] constexpr double open_uniform(std::uint64_t word) noexcept {
  return (static_cast<double>(word >> 12) + 0.5) * 0x1p-52;
}

/// The same in single precision, exact in 24 bits, so that no rounding reaches 0 or 1.
[[nodiscard]] constexpr float open_uniform_float(std::uint64_t word) noexcept {
  return (static_cast<float>(word >> 41) + 0.5F) * 0x1p-23F;
}

/// 256 strips of equal area under exp(-x^2 / 2), x >= 0; strip 0 holds the tail beyond `edge`.
/// Marsaglia and Tsang, "The ziggurat method for generating random variables", JSS 5(8), 2000.
class Ziggurat {
 public:
  static constexpr std::size_t n_strips = 256;
  static constexpr double edge = 3.654152885361008771645;  // where the tail begins

  Ziggurat() noexcept {
    constexpr double density_at_edge = 0.001260285930498597564;  // exp(-edge^2 / 2)
    constexpr double area = 0.004928673233974655362;             // of each strip
    width_[0] = area / density_at_edge;
    width_[1] = edge;
    density_[0] = 0.0;
    density_[1] = density_at_edge;
    for (std::size_t i = 2; i < n_strips; ++i) {
      density_[i] = density_[i - 1] + area / width_[i - 1];
      width_[i] = std::sqrt(-2.0 * portable_log(density_[i]));
    }
    width_[n_strips] = 0.0;
    density_[n_strips] = 1.0;
    for (std::size_t i = 0; i < n_strips; ++i) scale_[i] = width_[i] * 0x1p-52;
  }

  /// One draw from N(0, 1), never 0. `next_word()` gives uniform 64-bit words; 98.8% of the draws
  /// take one word. The strip comes from the low 8 bits, sign and value from the top 53, so they
  /// are independent (Doornik, "An improved ziggurat method to generate normal random samples",
  /// 2005). Values lie on a grid of 2^-52 times the width of the strip.
  template <class NextWord>
  [[nodiscard]] double operator()(NextWord&& next_word) const {
    for (;;) {
      const std::uint64_t word = next_word();
      const std::size_t strip = word & (n_strips - 1);
      const double steps = static_cast<double>(static_cast<std::int64_t>(word) >> 11) + 0.5;
      const double x = steps * scale_[strip];
      if (std::abs(x) < width_[strip + 1]) [[likely]]
        return x;
      if (strip == 0) return std::copysign(tail(next_word), x);
      const double height =
          density_[strip] + open_uniform(next_word()) * (density_[strip + 1] - density_[strip]);
      if (portable_log(height) < -0.5 * x * x) return x;
    }
  }

 private:
  /// A draw beyond `edge`: Marsaglia's exponential rejection, exact for every edge.
  template <class NextWord>
  [[nodiscard]] static double tail(NextWord&& next_word) {
    for (;;) {
      const double beyond = -portable_log(open_uniform(next_word())) / edge;
      const double exponential = -portable_log(open_uniform(next_word()));
      if (2.0 * exponential > beyond * beyond) return edge + beyond;
    }
  }

  std::array<double, n_strips + 1> width_{};    // decreasing, from the base to the top
  std::array<double, n_strips + 1> density_{};  // exp(-width^2 / 2), but 0 at the base
  std::array<double, n_strips> scale_{};        // width of one step
};

}  // namespace numpygeons
