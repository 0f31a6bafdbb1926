/// Names the reasons not to trust an estimate of log Z.
#include "numpygeons/evidence/flags.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>
#include <string>

#include "numpygeons/evidence/bennett.hpp"
#include "numpygeons/evidence/inputs.hpp"

namespace numpygeons {

namespace {

template <class... Parts>
std::string sentence(const Parts&... parts) {
  std::ostringstream text;
  text << std::setprecision(4);
  (text << ... << parts);
  return text.str();
}

/// "1 scan", "2 scans".
std::string counted(std::size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

}  // namespace

std::optional<Flag> short_flag(std::size_t n_scans) {
  if (n_scans >= min_scans_for_error) return std::nullopt;
  return Flag{.name = "short",
              .reason = sentence("the last round has ", counted(n_scans, "scan"),
                                 "; an error needs ", min_scans_for_error),
              .advice = sentence("run at least 6 rounds (round 6 has ", min_scans_for_error,
                                 " scans), 10 for a result to quote")};
}

std::optional<Flag> no_overlap_flag(const Bennett& pairs, std::span<const double> betas,
                                    std::size_t n_scans) {
  std::size_t n_pairs = 0;
  for (std::size_t i = 0; i < pairs.overlaps.size(); ++i) {
    n_pairs += pairs.lacks_overlap(i, n_scans) ? 1U : 0U;
  }
  if (n_pairs == 0) return std::nullopt;
  const std::size_t worst = pairs.worst_pair();
  return Flag{
      .name = "no overlap",
      .reason = sentence(
          "chains ", worst, " and ", worst + 1, " (beta ", betas[worst], " and ", betas[worst + 1],
          ") do not overlap, so log Z cannot be estimated across them: they have ",
          static_cast<double>(n_scans) * pairs.overlaps[worst],
          " effective common draws where 1 is needed, and their log ratio lies between ",
          pairs.forward[worst], " and ", pairs.backward[worst],
          n_pairs == 1 ? sentence("") : sentence(" (", n_pairs, " such pairs)")),
      .advice = "use more chains, or more rounds where the schedule is not settled yet"};
}

std::optional<Flag> few_tours_flag(const RoundDiagnostics& round) {
  constexpr double least_share = 0.15;
  const double limit = std::min(enough_tours, least_share * round.ideal_restarts);
  constexpr double few = 20.0;
  constexpr double suspicious_ratio = 2.25;  // of variances: 1.5 of standard errors
  const std::string advice = sentence("a mode may be met rarely: run more rounds until ", few,
                                      " tours carry the error, and compare runs with other seeds");
  if (round.effective_tours < limit) {
    return Flag{.name = "few tours",
                .reason = sentence(round.effective_tours, " effective tours carry the error; ",
                                   limit, " are needed"),
                .advice = advice};
  }
  if (round.tour_variance > suspicious_ratio * round.series_variance &&
      round.effective_tours < few) {
    return Flag{.name = "few tours",
                .reason = sentence("the error by tours is ",
                                   std::sqrt(round.tour_variance / round.series_variance),
                                   " times that by scans (limit 1.5), with ", round.effective_tours,
                                   " effective tours (limit ", few, ")"),
                .advice = advice};
  }
  return std::nullopt;
}

std::optional<Flag> slow_flag(const RoundDiagnostics& round) {
  constexpr std::size_t least_traversals = 2;
  constexpr double least_dof = 4.0;
  if (round.n_traversals < least_traversals) {
    const char* plural = round.n_traversals == 1 ? "" : "s";
    const std::string what = round.n_pieces == 1 ? sentence("restart", plural)
                                                 : sentence("trip", plural, " up the slowest 1/",
                                                            round.n_pieces, " of the chains");
    return Flag{
        .name = "slow",
        .reason = sentence(round.n_traversals, " ", what, " in ", counted(round.n_scans, "scan"),
                           "; ", least_traversals, " are needed"),
        .advice = "run more rounds, or use more chains where a pair seldom swaps"};
  }
  if (round.series_dof < least_dof) {
    return Flag{.name = "slow",
                .reason = sentence("the error has ", round.series_dof, " degrees of freedom from ",
                                   counted(round.n_scans, "scan"), "; ", least_dof, " are needed"),
                .advice = "run more rounds"};
  }
  return std::nullopt;
}

Flag rounds_disagree_flag(std::size_t n_rounds, double q, double limit) {
  return {
      .name = "rounds disagree",
      .reason = sentence("the last ", n_rounds, " rounds differ by more than their errors (Q = ", q,
                         ", limit ", limit, "), so the last round alone is used"),
      .advice = "the run is not stationary yet: run more rounds"};
}

Flag uneven_rounds_flag(double ratio, double limit) {
  return {.name = "uneven rounds",
          .reason = sentence("per scan, the variance of log Z differs ", ratio,
                             " times between the last rounds (limit ", limit,
                             "): some met states, perhaps a mode, that others did not"),
          .advice = "run more rounds until their errors agree, and compare runs with other seeds"};
}

}  // namespace numpygeons
