/// Names the reasons not to trust an estimate of log Z.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace numpygeons {

struct Bennett;

/// How much a flag says against a result.
enum class Severity : std::uint8_t {
  note,     // worth knowing; the result stands
  warning,  // the result may be worse than its error says
  wrong,    // the result is wrong by more than its error says
};

/// Something to know about the evidence.
struct Flag {
  std::string
      name;  // "no overlap", "short", "few tours", "slow", "rounds disagree", "uneven rounds"
  Severity severity{Severity::warning};
  std::string reason;  // with the numbers behind it
  std::string advice;  // what to do next
};

/// Effective tours that are enough, whatever scans and chains allow.
inline constexpr double enough_tours = 5.0;

/// What the flags of one round look at.
struct RoundDiagnostics {
  std::size_t n_scans{};
  /// Trips up the ladder, as `count_traversals`, and the number of pieces it was cut into.
  std::size_t n_traversals{};
  std::size_t n_pieces{1};
  /// Restarts that so many scans allow where chains forget their state between scans; read where
  /// there are fewer than `enough_tours`.
  double ideal_restarts{};
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

/// "few tours" when a handful of tours carries the error, as a rarely met mode makes them: fewer
/// than 5, or than 0.15 of the ideal restarts where scans and chains do not allow more.
[[nodiscard]] std::optional<Flag> few_tours_flag(const RoundDiagnostics& round);

/// "slow" with fewer than 2 trips up (each piece of) the ladder in the round, or fewer than 4
/// degrees of freedom.
[[nodiscard]] std::optional<Flag> slow_flag(const RoundDiagnostics& round);

/// "rounds disagree": `q` is the statistic, `limit` the chi-squared point that it exceeds.
[[nodiscard]] Flag rounds_disagree_flag(std::size_t n_rounds, double q, double limit);

/// "uneven rounds": the variance per scan of a round is `ratio` times that of the last, or the last
/// one's that of a round; more than `limit`.
[[nodiscard]] Flag uneven_rounds_flag(double ratio, double limit);

}  // namespace numpygeons
