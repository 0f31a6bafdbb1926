/// Pools the evidence of the last rounds.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "numpygeons/evidence/flags.hpp"

namespace numpygeons {

/// What pooling needs of a round.
struct RoundSummary {
  std::size_t n_scans{};
  double log_z{};     // nats
  double variance{};  // of log_z, nats squared
  double dof{};
  bool flagged{};
};

/// The evidence of a run.
struct PooledEvidence {
  double log_z{};     // nats
  double variance{};  // of log_z, nats squared
  /// Of `variance`, by Welch and Satterthwaite.
  double dof{};
  std::size_t n_rounds_used{};
  bool rounds_disagree{};
  /// Of "rounds disagree" and "uneven rounds"; the flags of the last round stay with that round.
  std::vector<Flag> flags{};
};

/// `rounds`: last first, at least one; only the first three are read. Weights are numbers of scans,
/// never inverse variances, which go with the estimates. The last round stands alone if it is
/// flagged, or if the rounds differ by more than the 0.999 point of chi squared allows. Earlier
/// rounds count only with 128 scans or more, a finite estimate and variance, and at most twice the
/// last round's variance per scan: above that they had not settled.
/// Throws std::invalid_argument when empty. Welch 1947; Satterthwaite 1946.
[[nodiscard]] PooledEvidence pool(std::span<const RoundSummary> rounds);

}  // namespace numpygeons
