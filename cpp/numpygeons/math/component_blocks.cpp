/// Implements the loops over blocks of components.
#include "numpygeons/math/component_blocks.hpp"

#include <cstring>

#include "numpygeons/base/vectorised.hpp"
#include "numpygeons/math/log_sum.hpp"

namespace numpygeons {

namespace {

constexpr std::size_t block = component_block;

/// One number for each component of a block, in registers as wide as the processor has.
using Lanes = double __attribute__((vector_size(block * sizeof(double))));

}  // namespace

NUMPYGEONS_VECTORISED void block_squares(const double* x, const double* means,
                                         const double* whiteners, std::size_t d, double* gaps,
                                         double* squares) {
  Lanes sum{};
  for (std::size_t i = 0; i < d; ++i) {
    Lanes mean;
    std::memcpy(&mean, means + i * block, sizeof mean);
    const Lanes last = x[i] - mean;
    std::memcpy(gaps + i * block, &last, sizeof last);
    Lanes white{};
    for (std::size_t j = 0; j <= i; ++j, whiteners += block) {
      Lanes whitener, gap;
      std::memcpy(&whitener, whiteners, sizeof whitener);
      std::memcpy(&gap, gaps + j * block, sizeof gap);
      white += whitener * gap;
    }
    sum += white * white;
  }
  std::memcpy(squares, &sum, sizeof sum);
}

NUMPYGEONS_VECTORISED void block_exponentials(const double* parts, double highest,
                                              std::size_t n_blocks, double* out) {
  for (std::size_t k = 0; k < n_blocks * block; ++k) out[k] = exp_nonpositive(parts[k] - highest);
}

NUMPYGEONS_VECTORISED void block_sums(const double* points, const double* shares, std::size_t n,
                                      std::size_t stride, std::size_t d, double* counts,
                                      double* sums) {
  Lanes count{};
  for (std::size_t i = 0; i < n; ++i) {
    Lanes share;
    std::memcpy(&share, shares + i * stride, sizeof share);
    count += share;
  }
  std::memcpy(counts, &count, sizeof count);
  for (std::size_t j = 0; j < d; ++j) {
    Lanes sum{};
    for (std::size_t i = 0; i < n; ++i) {
      Lanes share;
      std::memcpy(&share, shares + i * stride, sizeof share);
      sum += share * points[i * d + j];
    }
    std::memcpy(sums + j * block, &sum, sizeof sum);
  }
}

NUMPYGEONS_VECTORISED void block_products(const double* points, const double* shares, std::size_t n,
                                          std::size_t stride, std::size_t d, const double* means,
                                          double* products) {
  constexpr std::size_t n_sums = 4;  // at once: one alone would wait for its last addition
  for (std::size_t j = 0; j < d; ++j)
    for (std::size_t first = 0; first <= j; first += n_sums) {
      Lanes sums[n_sums] = {}, left, right[n_sums];
      std::size_t other[n_sums];
      std::memcpy(&left, means + j * block, sizeof left);
      for (std::size_t m = 0; m < n_sums; ++m) {
        other[m] = first + m <= j ? first + m : j;
        std::memcpy(&right[m], means + other[m] * block, sizeof right[m]);
      }
      for (std::size_t i = 0; i < n; ++i) {
        const double* const point = points + i * d;
        Lanes share;
        std::memcpy(&share, shares + i * stride, sizeof share);
        const Lanes weighted = share * (point[j] - left);
        for (std::size_t m = 0; m < n_sums; ++m) sums[m] += weighted * (point[other[m]] - right[m]);
      }
      for (std::size_t m = 0; m < n_sums && first + m <= j; ++m, products += block)
        std::memcpy(products, &sums[m], sizeof sums[m]);
    }
}

}  // namespace numpygeons
