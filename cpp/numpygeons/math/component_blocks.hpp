/// Works on the components of a mixture of normals in blocks, one component per lane of a vector.
///
/// A block's arrays have the component as last axis. Lanes without a component have log weight
/// -inf. Each lane does what a loop over its component alone would do, in the same order, so bits
/// do not depend on the width of vectors.
#pragma once

#include <cstddef>

namespace numpygeons {

constexpr std::size_t component_block = 8;

[[nodiscard]] constexpr std::size_t n_component_blocks(std::size_t n_components) noexcept {
  return (n_components + component_block - 1) / component_block;
}

/// Squared distances of x, (d,), from the means of a block, (d, block), in units of their factors.
/// `whiteners`: the factors' inverses, (d (d + 1) / 2, block), row i after its rows 0 ... i - 1.
/// `gaps` is room for (d, block) numbers.
void block_squares(const double* x, const double* means, const double* whiteners, std::size_t d,
                   double* gaps, double* squares);

/// exp(part - highest) of `n_blocks` blocks.
void block_exponentials(const double* parts, double highest, std::size_t n_blocks, double* out);

/// Sums over points, (n, d), for a block: `counts`, (block,), of the components' shares in them,
/// and `sums`, (d, block), of the points times these. Rows of `shares` are `stride` numbers apart.
void block_sums(const double* points, const double* shares, std::size_t n, std::size_t stride,
                std::size_t d, double* counts, double* sums);

/// Sums over points of products of two coordinates' gaps from the means of a block, (d, block),
/// times the shares: `products`, (d (d + 1) / 2, block), in the order of `whiteners`.
void block_products(const double* points, const double* shares, std::size_t n, std::size_t stride,
                    std::size_t d, const double* means, double* products);

}  // namespace numpygeons
