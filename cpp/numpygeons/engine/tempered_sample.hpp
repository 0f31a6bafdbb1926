/// Picks states recorded at all chains that stand for the density at one beta.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace numpygeons {

/// Indices of `n_points` states, out of those with the given `v`, that together stand for `beta`.
///
/// `v`, (n, n_chains), holds V of states from the chains `betas`, whose log normalizing constants
/// are `log_z`. A state weighs exp(beta V) / sum_j exp(betas_j V - log_z_j), the weight that a draw
/// from the mixture of all chains has at beta (Shirts & Chodera 2008, eq. 12). Where few states
/// carry all the weight, as they do before the replicas have settled, the weights are flattened:
/// raised to the largest power up to 1 at which (sum w)^2 / sum w^2 is `least_size`. The states are
/// picked systematically: in order, at equal steps of the cumulative weight. Non-finite V weighs 0.
[[nodiscard]] std::vector<std::size_t> tempered_sample(std::span<const double> v,
                                                       std::span<const double> betas,
                                                       std::span<const double> log_z, double beta,
                                                       std::size_t n_points, double least_size);

}  // namespace numpygeons
