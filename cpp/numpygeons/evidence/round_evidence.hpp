/// Estimates log Z of one round, with its error and the reasons not to trust it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "numpygeons/evidence/flags.hpp"
#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// How log Z of a round was found.
enum class EvidenceMethod : std::uint8_t {
  none,     // one chain: nothing to compare
  bennett,  // sum over neighbouring pairs: too large for MBAR, or chains that do not overlap
  mbar,     // all chains together
};

/// The evidence of one round. Logarithms in nats, variances of log Z in nats squared, 'by chain'
/// means one entry per chain in the order of betas.
struct RoundEvidence {
  std::size_t n_scans{};
  std::size_t n_chains{};
  EvidenceMethod method{EvidenceMethod::none};
  /// log Z(1) - log Z(betas[0]). NaN for one chain; -inf if no draw of some chain has a finite V.
  double log_z{};
  /// NaN for one chain or fewer than 64 scans; infinite when two neighbours do not overlap.
  double variance{};
  /// Of `variance`: take Student quantiles with it. At least 1.
  double dof{};
  double series_variance{};
  double series_dof{};
  double tour_variance{};
  double effective_tours{};
  /// sqrt(tour_variance / series_variance); NaN when not estimated.
  double sqrt_ratio{};
  /// a_0 in [1, 5]: what a draw of chain 0 counts for when the reference draws independently.
  double reference_weight{1.0};
  /// Trips from chain 0 to the last chain completed in this round, by the replicas given.
  std::size_t n_restarts{};
  /// log Z(beta_i) - log Z(betas[0]) by chain.
  std::vector<double> log_z_by_chain{};
  /// Bennett's log ratio and overlap (0 to 1/2) of each neighbouring pair, n_chains - 1 entries.
  std::vector<double> pair_log_ratios{};
  std::vector<double> overlaps{};
  std::vector<Flag> flags{};

  [[nodiscard]] bool flagged() const noexcept { return !flags.empty(); }
};

/// Above this many exponentials per Newton step, n_scans n_chains^2, MBAR gives way to Bennett.
inline constexpr double default_exponential_budget = 1e9;
/// Above so many chains it does, too: its equations cost n_scans n_chains^3, and overtake exploring
/// a small model, which is linear. Bennett's ratios have all that many chains can say, nearly:
/// neighbours that are close are much alike.
inline constexpr std::size_t most_mbar_chains = 50;

/// `v[s, i]`: V of the state at chain i in scan s after exploration, before the swap, of all chains
/// and scans; -inf allowed. `replicas[s, i]`: who sat there. `betas` increases strictly up to 1.
/// `reference_is_iid`: chain 0 draws independently in each scan; if not, it gets no extra weight.
/// Bennett's ratios, one MBAR step with equal weights, then the root with the weight of chain 0;
/// error from the influence values, by scans and by tours, the larger of the two.
/// A mode that no replica has visited leaves no trace here: only independent runs can show it.
/// Bits depend on the arguments only. Throws std::invalid_argument as `check_log_ratios` and
/// `check_replicas`.
/// Meng & Wong 1996; Shirts & Chodera 2008; Geyer 1992; Doss & Tan 2014.
[[nodiscard]] RoundEvidence round_evidence(MatrixView<const double> v,
                                           MatrixView<const std::uint32_t> replicas,
                                           std::span<const double> betas, bool reference_is_iid,
                                           double exponential_budget = default_exponential_budget);

/// As above, with a reference that is taken to be drawn independently if and only if betas[0] = 0.
[[nodiscard]] RoundEvidence round_evidence(MatrixView<const double> v,
                                           MatrixView<const std::uint32_t> replicas,
                                           std::span<const double> betas);

}  // namespace numpygeons
