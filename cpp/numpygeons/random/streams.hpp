/// Gives every purpose, replica, round and scan its own stream of random numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "numpygeons/base/indices.hpp"
#include "numpygeons/random/philox.hpp"

namespace numpygeons {

/// What random numbers are for. Values are part of every stored seed's meaning: add, never
/// renumber. At most 127.
enum class Purpose : std::uint8_t {
  explore = 0,
  swap = 1,
  reference_draw = 2,
  initial_state = 3,
  jax_key = 4,
  propose = 5,
};

/// The meaning of a stream. Two different ones never share a block of random bits, for the same
/// seed: the tuple is the counter itself, not a hash of it.
struct StreamKey {
  std::uint64_t seed = 0;
  Purpose purpose = Purpose::explore;
  Replica replica{};
  std::uint32_t round = 0;  // below 256
  std::uint64_t scan = 0;   // below 2^48
};

/// A sequence of 64-bit words, fixed by its key: the same on every process, in every order of
/// calls, on every platform (integer and basic IEEE operations only). Made in O(1).
/// Numbers are taken from the words in order, so how draws are split into fills does not change
/// them. A stream has 2^33 words; more than that start over.
class Stream {
 public:
  /// Throws std::invalid_argument for a round or scan out of range.
  explicit Stream(const StreamKey& key);

  /// 64 uniform bits.
  [[nodiscard]] std::uint64_t word() {
    if (position_ == end_) refill(words_per_batch);
    return buffer_[position_++];
  }

  /// In the open interval (0, 1): an odd multiple of 2^-53, so 1 - u is as good as u. One word.
  [[nodiscard]] double uniform();

  /// The same; in single precision odd multiples of 2^-24. One word each.
  void fill_uniforms(std::span<double> out);
  void fill_uniforms(std::span<float> out);

  /// From N(0, 1), never 0 (ziggurat.hpp); in single precision the same draws, rounded.
  void fill_normals(std::span<double> out);
  void fill_normals(std::span<float> out);

 private:
  static constexpr std::size_t words_per_batch = 16;

  void refill(std::size_t n_wanted);
  template <class Number, class Convert>
  void convert_words(std::span<Number> out, Convert convert);
  template <class Number>
  void draw_normals(std::span<Number> out);

  PhiloxCounter counter_;  // word 0: the next block
  PhiloxKey key_;
  std::size_t position_ = 0;
  std::size_t end_ = 0;
  std::array<std::uint64_t, 4 * words_per_batch> buffer_;
};

/// The uniform of the pair (lower, lower + 1) in a scan, as `Stream::uniform`. Every process
/// computes the same one, without a message. Throws std::invalid_argument as `Stream`.
[[nodiscard]] double swap_uniform(std::uint64_t seed, std::uint32_t round, std::uint64_t scan,
                                  Chain lower);

/// The two words of a JAX key (threefry2x32) for what the tuple says; shares no block with the
/// streams, so C++ and JAX may draw for the same purpose. Throws std::invalid_argument as `Stream`.
[[nodiscard]] std::array<std::uint32_t, 2> jax_key(const StreamKey& key);

}  // namespace numpygeons
