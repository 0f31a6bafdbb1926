/// Estimates the variance of log Z from the replicas' tours between visits to the reference.
#pragma once

#include <cstddef>
#include <cstdint>

#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// What the tours of one round say about a sum of influence values.
struct TourVariance {
  /// Sum of squared tour totals over n_scans: n_scans times the variance of the mean.
  double variance{};
  /// (sum T^2)^2 / sum T^4: how many tours carry the variance. The number of tours if all T = 0.
  double effective_tours{};
  std::size_t n_tours{};
};

/// A tour of a replica starts at each scan at which it sits at chain 0, where its state is drawn
/// afresh, and ends before its next visit; the pieces at both ends of the round are tours too.
/// `influence` and `replicas` are n_scans x n_chains, by chain, influence centred over scans.
/// Relabelling the replicas changes no bit.
/// Mykland, Tierney & Yu 1995; Hobert et al. 2002; Doss & Tan 2014.
[[nodiscard]] TourVariance tour_variance(MatrixView<const double> influence,
                                         MatrixView<const std::uint32_t> replicas);

/// Trips of a replica from chain 0 to the last chain that were completed in the round.
/// 0 for one chain.
[[nodiscard]] std::size_t count_restarts(MatrixView<const std::uint32_t> replicas);

/// Pieces that chains are cut into to count trips: one where there are at least four scans per
/// chain; else more, because a trip along all chains takes as many scans as there are chains.
[[nodiscard]] std::size_t pieces_of_ladder(std::size_t n_scans, std::size_t n_chains) noexcept;

/// Trips from the lowest to the highest chain of a piece, of the piece with the fewest, where the
/// chains are cut into `n_pieces` pieces that share their ends; with one piece the restarts. 0 for
/// one chain.
[[nodiscard]] std::size_t count_traversals(MatrixView<const std::uint32_t> replicas,
                                           std::size_t n_pieces);

}  // namespace numpygeons
