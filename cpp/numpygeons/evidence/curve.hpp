/// Estimates log Z at any beta, and differences of it, from one round.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "numpygeons/evidence/round_evidence.hpp"
#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// log Z(beta) - log Z(betas[0]) in nats, one entry per queried beta. `variance` is pointwise, in
/// nats squared; errors along the curve are strongly correlated, so a difference of two entries
/// has its own function. NaN and infinite as in `RoundEvidence`; exactly 0 at betas[0].
struct LogZCurve {
  std::vector<double> log_z;
  std::vector<double> variance;
  std::vector<double> dof;
};

/// One number with its error, as in `LogZCurve`.
struct LogZDifference {
  double log_z{};
  double variance{};
  double dof{};
};

/// The first three arguments are those that `round` was made from; `queries` are betas in
/// [betas[0], 1] in any order. No further likelihoods are needed: every state of every chain is
/// reweighted. At the betas of the schedule it returns `round.log_z_by_chain`, with the influence
/// that belongs to it. A round by Bennett's method uses, for each query, the two chains around it,
/// and interpolates linearly where those do not overlap.
/// Throws std::invalid_argument for a query outside, or a round of another shape.
/// Kong et al. 2003; Shirts & Chodera 2008.
[[nodiscard]] LogZCurve log_z_curve(MatrixView<const double> v,
                                    MatrixView<const std::uint32_t> replicas,
                                    std::span<const double> betas, const RoundEvidence& round,
                                    std::span<const double> queries);

/// log Z(to) - log Z(from); the error is that of the difference of the two influence series. Pairs
/// that do not overlap count only if they lie between; NaN if both ends are -inf beyond one.
[[nodiscard]] LogZDifference log_z_difference(MatrixView<const double> v,
                                              MatrixView<const std::uint32_t> replicas,
                                              std::span<const double> betas,
                                              const RoundEvidence& round, double from, double to);

/// Influence of scan s and chain i on log Z(query), n_scans x n_chains, centred over scans; empty
/// where the error is infinite or there is one chain.
[[nodiscard]] std::vector<double> log_z_influence(MatrixView<const double> v,
                                                  std::span<const double> betas,
                                                  const RoundEvidence& round, double query);

}  // namespace numpygeons
