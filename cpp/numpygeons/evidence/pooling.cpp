/// Pools the evidence of the last rounds.
#include "numpygeons/evidence/pooling.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <vector>

namespace numpygeons {

namespace {

constexpr std::size_t max_rounds = 3;
constexpr std::size_t min_scans_to_pool = 128;
/// An earlier round whose variance per scan is so many times the last one's had not settled.
constexpr double unsettled_ratio = 2.0;
/// Rounds of so many scans or more whose variances per scan differ so much are flagged.
constexpr std::size_t min_scans_to_compare = 512;
constexpr double uneven_ratio = 3.0;
/// The 0.999 points of chi squared with 1 and 2 degrees of freedom.
constexpr std::array<double, max_rounds - 1> disagreement_limits = {10.827566170662733,
                                                                    13.815510557964274};

PooledEvidence weigh(std::span<const RoundSummary> rounds) {
  double n_scans = 0.0;
  for (const RoundSummary& round : rounds) n_scans += static_cast<double>(round.n_scans);
  PooledEvidence result{.n_rounds_used = rounds.size()};
  double sum_squares = 0.0;
  double sum_dof = 0.0;
  for (const RoundSummary& round : rounds) {
    const double weight = static_cast<double>(round.n_scans) / n_scans;
    const double variance = weight * weight * round.variance;
    result.log_z += weight * round.log_z;
    result.variance += variance;
    sum_squares += variance * variance / round.dof;
    sum_dof += round.dof;
  }
  result.dof = sum_squares > 0.0 ? result.variance * result.variance / sum_squares : sum_dof;
  return result;
}

/// Weighted squares of the differences from `mean`. Differences below what the solver resolves do
/// not count, however small the variance.
double disagreement(std::span<const RoundSummary> rounds, double mean) {
  const double resolution = 1e-9 * (1.0 + std::fabs(mean));
  double q = 0.0;
  for (const RoundSummary& round : rounds) {
    const double difference = round.log_z - mean;
    q += difference * difference / (round.variance + resolution * resolution);
  }
  return q;
}

double variance_per_scan(const RoundSummary& round) {
  return static_cast<double>(round.n_scans) * round.variance;
}

bool can_be_pooled(const RoundSummary& round) {
  return round.n_scans >= min_scans_to_pool && std::isfinite(round.log_z) &&
         std::isfinite(round.variance);
}

/// How many times the variance per scan of one round is another's, the last one among the two; the
/// largest over `earlier`, 1 where there is nothing to compare.
double unevenness(const RoundSummary& last, std::span<const RoundSummary> earlier) {
  double largest = 1.0;
  if (last.n_scans < min_scans_to_compare || !(last.variance > 0.0)) return largest;
  for (const RoundSummary& round : earlier) {
    if (round.n_scans < min_scans_to_compare || !can_be_pooled(round)) continue;
    const double ratio = variance_per_scan(round) / variance_per_scan(last);
    if (ratio > 0.0) largest = std::max({largest, ratio, 1.0 / ratio});
  }
  return largest;
}

/// The estimate of one round, bit for bit.
PooledEvidence alone(const RoundSummary& round) {
  return {.log_z = round.log_z, .variance = round.variance, .dof = round.dof, .n_rounds_used = 1};
}

}  // namespace

PooledEvidence pool(std::span<const RoundSummary> rounds) {
  if (rounds.empty()) throw std::invalid_argument("no rounds to pool: pass at least one");
  const RoundSummary& last = rounds.front();
  if (last.flagged || !std::isfinite(last.log_z)) return alone(last);
  const auto earlier = rounds.subspan(1, std::min(max_rounds, rounds.size()) - 1);
  std::vector<RoundSummary> used = {last};
  for (const RoundSummary& round : earlier) {
    if (can_be_pooled(round) &&
        variance_per_scan(round) <= unsettled_ratio * variance_per_scan(last)) {
      used.push_back(round);
    }
  }
  PooledEvidence result = used.size() == 1 ? alone(last) : weigh(used);
  if (used.size() > 1) {
    const double q = disagreement(used, result.log_z);
    const double limit = disagreement_limits[used.size() - 2];
    if (q > limit) {
      result = alone(last);
      result.rounds_disagree = true;
      result.flags.push_back(rounds_disagree_flag(used.size(), q, limit));
    }
  }
  const double ratio = unevenness(last, earlier);
  if (ratio > uneven_ratio) result.flags.push_back(uneven_rounds_flag(ratio, uneven_ratio));
  return result;
}

}  // namespace numpygeons
