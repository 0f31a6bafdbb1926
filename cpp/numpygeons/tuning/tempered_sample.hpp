/// Picks states recorded at all chains that stand for the density at one beta.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace numpygeons {

/// log sum_j exp(betas_j V - log_z_j) of each V: the log density of the mixture of all chains,
/// relative to the reference's. `log_z` holds the log normalizing constants of the chains `betas`.
/// -inf where V is not finite. Throws std::invalid_argument without chains, or for other lengths.
[[nodiscard]] std::vector<double> log_mixture(std::span<const double> v,
                                              std::span<const double> betas,
                                              std::span<const double> log_z);

/// Indices of `n_points` states, out of those with the given `v`, that together stand for `beta`.
///
/// The states come from several chains, and `log_mixture` is that of their `v`: a state weighs
/// exp(beta V) / sum_j exp(betas_j V - log_z_j), the weight that a draw from the mixture of all
/// chains has at beta (Shirts & Chodera 2008, eq. 12). Where few states carry all the weight, as
/// they do before the replicas have settled, the weights are flattened: raised to the largest power
/// up to 1 at which (sum w)^2 / sum w^2 is `least_size`. The states are picked systematically: in
/// order, at equal steps of the cumulative weight. Non-finite V weighs 0. Throws
/// std::invalid_argument for other lengths, or where no V is finite.
[[nodiscard]] std::vector<std::size_t> tempered_sample(std::span<const double> v,
                                                       std::span<const double> log_mixture,
                                                       double beta, std::size_t n_points,
                                                       double least_size);

}  // namespace numpygeons
