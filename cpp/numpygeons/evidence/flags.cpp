/// Names the reasons not to trust an estimate of log Z.
#include "numpygeons/evidence/flags.hpp"

#include <cmath>
#include <iomanip>
#include <sstream>

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

}  // namespace

std::optional<Flag> short_flag(std::size_t n_scans) {
  if (n_scans >= min_scans_for_error) return std::nullopt;
  return Flag{.name = "short",
              .reason = sentence("the round has ", n_scans, " scans, an error needs ",
                                 min_scans_for_error, ": run more rounds")};
}

std::optional<Flag> no_overlap_flag(const Bennett& pairs, std::span<const double> betas,
                                    std::size_t n_scans) {
  std::size_t n_pairs = 0;
  for (std::size_t i = 0; i < pairs.overlaps.size(); ++i) {
    n_pairs += pairs.lacks_overlap(i, n_scans) ? 1 : 0;
  }
  if (n_pairs == 0) return std::nullopt;
  const std::size_t worst = pairs.worst_pair();
  return Flag{
      .name = "no overlap",
      .reason = sentence(n_pairs, n_pairs == 1 ? " pair" : " pairs", " of neighbouring chains ",
                         n_pairs == 1 ? "does" : "do", " not overlap; worst: chains ", worst,
                         " and ", worst + 1, " (beta ", betas[worst], " and ", betas[worst + 1],
                         "), with ", static_cast<double>(n_scans) * pairs.overlaps[worst],
                         " effective common draws where 1 is needed; their log ratio lies between ",
                         pairs.forward[worst], " and ", pairs.backward[worst],
                         ": use more chains or more rounds")};
}

std::optional<Flag> few_tours_flag(const RoundDiagnostics& round) {
  constexpr double too_few = 5.0;
  constexpr double few = 20.0;
  constexpr double suspicious_ratio = 2.25;  // of variances: 1.5 of standard errors
  if (round.effective_tours < too_few) {
    return Flag{
        .name = "few tours",
        .reason = sentence(round.effective_tours, " effective tours carry the error, ", too_few,
                           " are needed; a mode may be met rarely: use more "
                           "rounds, and compare independent runs")};
  }
  if (round.tour_variance > suspicious_ratio * round.series_variance &&
      round.effective_tours < few) {
    return Flag{.name = "few tours",
                .reason = sentence("the error by tours is ",
                                   std::sqrt(round.tour_variance / round.series_variance),
                                   " times that by scans (limit 1.5), with ", round.effective_tours,
                                   " effective tours (limit ", few,
                                   "); a mode may be met rarely: use more rounds, and compare "
                                   "independent runs")};
  }
  return std::nullopt;
}

std::optional<Flag> slow_flag(const RoundDiagnostics& round) {
  constexpr std::size_t least_restarts = 2;
  constexpr double least_dof = 4.0;
  if (round.n_restarts < least_restarts) {
    return Flag{.name = "slow",
                .reason = sentence(round.n_restarts, " restarts in ", round.n_scans, " scans, ",
                                   least_restarts, " are needed: use more rounds or chains")};
  }
  if (round.series_dof < least_dof) {
    return Flag{
        .name = "slow",
        .reason = sentence("the error has ", round.series_dof, " degrees of freedom from ",
                           round.n_scans, " scans, ", least_dof, " are needed: use more rounds")};
  }
  return std::nullopt;
}

Flag rounds_disagree_flag(std::size_t n_rounds, double q, double limit) {
  return {.name = "rounds disagree",
          .reason = sentence("the last ", n_rounds,
                             " rounds differ by more than their errors (Q = ", q, ", limit ", limit,
                             "): not stationary yet, so the last round alone is used")};
}

}  // namespace numpygeons
