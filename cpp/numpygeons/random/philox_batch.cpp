/// Runs Philox in vector registers where the processor has them.
#include "numpygeons/random/philox_batch.hpp"

#include <array>
#include <cstddef>
#include <span>

#if defined(__x86_64__) && defined(__GNUC__)
#define NUMPYGEONS_PHILOX_X86
#include <immintrin.h>
#endif

namespace numpygeons {
namespace {

constexpr std::size_t n_lanes = 8;  // blocks made at once

using Batch = std::span<std::uint64_t, 2 * n_lanes>;

#ifdef NUMPYGEONS_PHILOX_X86

// A 64-bit lane holds one 32-bit word in its low half; no multiplication reads the high half, so
// nothing has to clear it before the end.
__attribute__((target("avx2"))) void avx2_batch(const PhiloxCounter& first, const PhiloxKey& key,
                                                Batch out) noexcept {
  constexpr std::size_t width = 4;
  constexpr std::size_t n_vectors = n_lanes / width;  // together: hides the latency of the products
  const __m256i multiplier0 = _mm256_set1_epi64x(philox_multipliers[0]);
  const __m256i multiplier1 = _mm256_set1_epi64x(philox_multipliers[1]);
  const __m256i low = _mm256_set1_epi64x(0xFFFFFFFF);
  __m256i c0[n_vectors], c1[n_vectors], c2[n_vectors], c3[n_vectors];
  for (std::size_t v = 0; v < n_vectors; ++v) {
    const auto start = first[0] + static_cast<std::uint32_t>(width * v);
    c0[v] = _mm256_set_epi64x(start + 3U, start + 2U, start + 1U, start);
    c1[v] = _mm256_set1_epi64x(first[1]);
    c2[v] = _mm256_set1_epi64x(first[2]);
    c3[v] = _mm256_set1_epi64x(first[3]);
  }
  PhiloxKey k = key;
#pragma GCC unroll 10
  for (int round = 0; round < philox_n_rounds; ++round) {
    const __m256i k0 = _mm256_set1_epi64x(k[0]);
    const __m256i k1 = _mm256_set1_epi64x(k[1]);
#pragma GCC unroll 4
    for (std::size_t v = 0; v < n_vectors; ++v) {
      const __m256i p0 = _mm256_mul_epu32(c0[v], multiplier0);
      const __m256i p1 = _mm256_mul_epu32(c2[v], multiplier1);
      c0[v] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1[v]), k0);
      c2[v] = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3[v]), k1);
      c1[v] = p1;
      c3[v] = p0;
    }
    k[0] += philox_key_steps[0];
    k[1] += philox_key_steps[1];
  }
  for (std::size_t v = 0; v < n_vectors; ++v) {
    const __m256i even =
        _mm256_or_si256(_mm256_and_si256(c0[v], low), _mm256_slli_epi64(c1[v], 32));
    const __m256i odd = _mm256_or_si256(_mm256_and_si256(c2[v], low), _mm256_slli_epi64(c3[v], 32));
    const __m256i outer = _mm256_unpacklo_epi64(even, odd);  // blocks 0 and 2 of the vector
    const __m256i inner = _mm256_unpackhi_epi64(even, odd);  // blocks 1 and 3
    auto* to = reinterpret_cast<__m256i*>(out.data() + 2 * width * v);
    _mm256_storeu_si256(to, _mm256_permute2x128_si256(outer, inner, 0x20));
    _mm256_storeu_si256(to + 1, _mm256_permute2x128_si256(outer, inner, 0x31));
  }
}

const bool has_avx2 = __builtin_cpu_supports("avx2");

#endif

void plain_batch(const PhiloxCounter& first, const PhiloxKey& key, Batch out) noexcept {
  for (std::size_t block = 0; block < n_lanes; ++block) {
    PhiloxCounter counter = first;
    counter[0] += static_cast<std::uint32_t>(block);
    const PhiloxCounter words = philox4x32(counter, key);
    out[2 * block] = words[0] | std::uint64_t{words[1]} << 32;
    out[2 * block + 1] = words[2] | std::uint64_t{words[3]} << 32;
  }
}

}  // namespace

void philox_words(PhiloxCounter first, PhiloxKey key, std::span<std::uint64_t> out) noexcept {
  for (std::size_t done = 0; done < out.size(); done += 2 * n_lanes) {
    const Batch batch(out.data() + done, 2 * n_lanes);
#ifdef NUMPYGEONS_PHILOX_X86
    if (has_avx2)
      avx2_batch(first, key, batch);
    else
#endif
      plain_batch(first, key, batch);
    first[0] += n_lanes;
  }
}

}  // namespace numpygeons
