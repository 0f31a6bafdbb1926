/// Makes the words of a stream in batches and turns them into numbers.
#include "numpygeons/random/streams.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "numpygeons/random/philox_batch.hpp"
#include "numpygeons/random/ziggurat.hpp"

namespace numpygeons {
namespace {

const Ziggurat ziggurat;

PhiloxKey philox_key(std::uint64_t seed) noexcept {
  return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
}

/// The counter that spells the tuple out: block, low half of scan, replica, and in the last word
/// the high part of scan (16 bits), round (8), purpose (7) and whether it is for a JAX key (1).
PhiloxCounter first_counter(const StreamKey& key, bool is_jax_key) {
  if (key.round >= 256)
    throw std::invalid_argument("round must be below 256, got " + std::to_string(key.round));
  if (key.scan >> 48 != 0)
    throw std::invalid_argument("scan must be below 2^48, got " + std::to_string(key.scan));
  const auto purpose = static_cast<std::uint32_t>(key.purpose);
  if (purpose >= 128)
    throw std::invalid_argument("purpose must be below 128, got " + std::to_string(purpose));
  return {0U, static_cast<std::uint32_t>(key.scan), key.replica.value,
          static_cast<std::uint32_t>(key.scan >> 32) | key.round << 16 | purpose << 24 |
              (is_jax_key ? 1U << 31 : 0U)};
}

}  // namespace

Stream::Stream(const StreamKey& key)
    : counter_(first_counter(key, false)), key_(philox_key(key.seed)) {}

void Stream::refill(std::size_t n_wanted) {
  const std::size_t n_batches = std::clamp<std::size_t>(
      (n_wanted + words_per_batch - 1) / words_per_batch, 1, buffer_.size() / words_per_batch);
  position_ = 0;
  end_ = n_batches * words_per_batch;
  philox_words(counter_, key_, std::span(buffer_).first(end_));
  counter_[0] += static_cast<std::uint32_t>(end_ / 2);
}

double Stream::uniform() { return open_uniform(word()); }

template <class Number, class Convert>
void Stream::convert_words(std::span<Number> out, Convert convert) {
  std::size_t done = 0;
  while (done < out.size()) {
    if (position_ == end_) refill(out.size() - done);
    const std::size_t n = std::min(out.size() - done, end_ - position_);
    std::ranges::transform(std::span(buffer_).subspan(position_, n), out.subspan(done).begin(),
                           convert);
    position_ += n;
    done += n;
  }
}

template <class Number>
void Stream::draw_normals(std::span<Number> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (position_ == end_) refill(out.size() - i);
    out[i] = static_cast<Number>(ziggurat([this] { return word(); }));
  }
}

void Stream::fill_uniforms(std::span<double> out) { convert_words(out, open_uniform); }
void Stream::fill_uniforms(std::span<float> out) { convert_words(out, open_uniform_float); }
void Stream::fill_normals(std::span<double> out) { draw_normals(out); }
void Stream::fill_normals(std::span<float> out) { draw_normals(out); }

double swap_uniform(std::uint64_t seed, std::uint32_t round, std::uint64_t scan, Chain lower) {
  const StreamKey key{seed, Purpose::swap, Replica{lower.value}, round, scan};
  const PhiloxCounter block = philox4x32(first_counter(key, false), philox_key(seed));
  return open_uniform(block[0] | std::uint64_t{block[1]} << 32);
}

std::array<std::uint32_t, 2> jax_key(const StreamKey& key) {
  const PhiloxCounter block = philox4x32(first_counter(key, true), philox_key(key.seed));
  return {block[0], block[1]};
}

}  // namespace numpygeons
