/// Names the reasons not to trust an estimate of log Z.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace numpygeons {

struct Bennett;

/// A warning about the evidence.
struct Flag {
  std::string name;    // "no overlap", "short", "few tours", "slow" or "rounds disagree"
  std::string reason;  // one sentence with the numbers behind it and what to do
};

/// What the flags of one round look at.
struct RoundDiagnostics {
  std::size_t n_scans{};
  std::size_t n_restarts{};
  double series_variance{};  // of log Z, nats squared
  double series_dof{};
  double tour_variance{};  // of log Z, nats squared
  double effective_tours{};
};

/// "short" below 64 scans: no error is given.
[[nodiscard]] std::optional<Flag> short_flag(std::size_t n_scans);

/// "no overlap" when n_scans h < 1 for a pair: no finite error; the reason gives the bracket
/// [forward, backward] of the worst pair's log ratio.
[[nodiscard]] std::optional<Flag> no_overlap_flag(const Bennett& pairs,
                                                  std::span<const double> betas,
                                                  std::size_t n_scans);

/// "few tours" when a handful of tours carries the error, as a rarely met mode makes them.
[[nodiscard]] std::optional<Flag> few_tours_flag(const RoundDiagnostics& round);

/// "slow" with fewer than 2 restarts in the round or fewer than 4 degrees of freedom.
[[nodiscard]] std::optional<Flag> slow_flag(const RoundDiagnostics& round);

/// "rounds disagree": `q` is the statistic, `limit` the chi-squared point that it exceeds.
[[nodiscard]] Flag rounds_disagree_flag(std::size_t n_rounds, double q, double limit);

}  // namespace numpygeons
