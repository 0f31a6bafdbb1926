/// Estimates log Z of one round, with its error and the reasons not to trust it.
#include "numpygeons/evidence/round_evidence.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "numpygeons/evidence/bennett.hpp"
#include "numpygeons/evidence/influence_variance.hpp"
#include "numpygeons/evidence/inputs.hpp"
#include "numpygeons/evidence/mbar.hpp"
#include "numpygeons/evidence/swap_statistics.hpp"
#include "numpygeons/evidence/tours.hpp"
#include "numpygeons/tempering/barrier.hpp"

namespace numpygeons {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// What one round is made of.
struct Round {
  MatrixView<const double> v;
  MatrixView<const std::uint32_t> replicas;
  std::span<const double> betas;
};

InfluenceVariance error_of(const Round& round, const std::vector<double>& influence) {
  return influence_variance({influence.data(), round.v.n_rows, round.v.n_columns}, round.replicas);
}

void take_error(RoundEvidence& result, const InfluenceVariance& error) {
  result.variance = error.variance;
  result.dof = error.dof;
  result.series_variance = error.series_variance;
  result.series_dof = error.series_dof;
  result.tour_variance = error.tour_variance;
  result.effective_tours = error.effective_tours;
  result.sqrt_ratio = error.sqrt_ratio();
}

InfluenceVariance error_of_fit(const Round& round, const MbarFit& fit) {
  const std::vector<double> direction = fit.direction(round.betas.size() - 1);
  return error_of(round, mbar_influence(round.v, round.betas, fit, direction));
}

/// The last `n` scans.
Round tail(const Round& round, std::size_t n) {
  const std::size_t first = round.v.n_rows - std::min(n, round.v.n_rows);
  const auto rows = [first](auto matrix) {
    return decltype(matrix){matrix.data + first * matrix.n_columns, matrix.n_rows - first,
                            matrix.n_columns};
  };
  return {.v = rows(round.v), .replicas = rows(round.replicas), .betas = round.betas};
}

/// Independent draws say more than correlated ones: how much more, a fit of some scans with equal
/// weights tells well enough, since any weight is right and those near the best are as good.
std::optional<double> weight_of_iid_reference(const Round& round, std::span<const double> f) {
  constexpr std::size_t enough_scans = 4096;
  constexpr double largest_weight = 5.0;
  const Round some = tail(round, enough_scans);
  const std::vector<double> equal(round.betas.size(), 1.0);
  const std::optional<MbarFit> fit = mbar_step(some.v, some.betas, f, equal);
  if (!fit) return std::nullopt;
  return std::clamp(error_of_fit(some, *fit).autocorrelation_time, 1.0, largest_weight);
}

/// Replaces Bennett's estimate by MBAR's; false when its equations are not solved.
bool refine(const Round& round, bool reference_is_iid, RoundEvidence& result) {
  std::vector<double> weights(round.betas.size(), 1.0);
  std::vector<double> f;
  f.reserve(result.log_z_by_chain.size());
  for (const double log_z : result.log_z_by_chain) f.push_back(-log_z);
  if (reference_is_iid) {
    const std::optional<double> weight = weight_of_iid_reference(round, f);
    if (!weight) return false;
    weights[0] = *weight;
  }
  const std::optional<MbarFit> fit = mbar_root(round.v, round.betas, f, weights);
  if (!fit) return false;
  take_error(result, error_of_fit(round, *fit));
  result.method = EvidenceMethod::mbar;
  result.reference_weight = weights[0];
  for (std::size_t k = 0; k < f.size(); ++k) result.log_z_by_chain[k] = 0.0 - fit->f[k];
  return true;
}

void add(std::vector<Flag>& flags, std::optional<Flag> flag) {
  if (flag) flags.push_back(std::move(*flag));
}

/// Of the whole round.
double ideal_restarts(const Round& round) {
  const SwapStatistics swaps = swap_statistics(round.v, round.betas);
  return static_cast<double>(round.v.n_rows) * ideal_restart_rate(swaps.acceptance);
}

void add_flags(const Round& round, RoundEvidence& result) {
  add(result.flags, short_flag(result.n_scans));
  if (!result.flags.empty()) return;  // nothing else can be judged from so few scans
  // All acceptances again: only where they are asked for.
  const double allowed = result.effective_tours < enough_tours ? ideal_restarts(round) : nan;
  const std::size_t n_pieces = pieces_of_ladder(result.n_scans, result.n_chains);
  const RoundDiagnostics diagnostics{.n_scans = result.n_scans,
                                     .n_traversals = count_traversals(round.replicas, n_pieces),
                                     .n_pieces = n_pieces,
                                     .ideal_restarts = allowed,
                                     .series_variance = result.series_variance,
                                     .series_dof = result.series_dof,
                                     .tour_variance = result.tour_variance,
                                     .effective_tours = result.effective_tours};
  add(result.flags, few_tours_flag(diagnostics));
  add(result.flags, slow_flag(diagnostics));
}

}  // namespace

RoundEvidence round_evidence(MatrixView<const double> v, MatrixView<const std::uint32_t> replicas,
                             std::span<const double> betas, bool reference_is_iid,
                             double exponential_budget) {
  check_log_ratios(v, betas);
  check_replicas(replicas, v.n_rows, v.n_columns);
  const Round round{.v = v, .replicas = replicas, .betas = betas};
  RoundEvidence result{.n_scans = v.n_rows,
                       .n_chains = v.n_columns,
                       .log_z = nan,
                       .variance = nan,
                       .dof = 1.0,
                       .series_variance = nan,
                       .series_dof = 1.0,
                       .tour_variance = nan,
                       .sqrt_ratio = nan,
                       .n_restarts = count_restarts(replicas),
                       .log_z_by_chain = {0.0}};
  if (betas.size() == 1) return result;

  Bennett pairs = bennett(v, betas);
  for (const double c : pairs.log_ratios) {
    result.log_z_by_chain.push_back(result.log_z_by_chain.back() + c);
  }
  result.method = EvidenceMethod::bennett;
  if (std::optional<Flag> flag = no_overlap_flag(pairs, betas, v.n_rows)) {
    result.variance = std::numeric_limits<double>::infinity();
    result.flags.push_back(std::move(*flag));
    add(result.flags, short_flag(v.n_rows));
  } else {
    const auto n_chains = static_cast<double>(v.n_columns);
    const double cost = static_cast<double>(v.n_rows) * n_chains * n_chains;
    const bool is_too_much = cost > exponential_budget || v.n_columns > most_mbar_chains;
    if (is_too_much || !refine(round, reference_is_iid, result)) {
      take_error(result, error_of(round, bennett_influence(v, betas, pairs, 0, betas.size() - 1)));
    }
    add_flags(round, result);
  }
  result.log_z = result.log_z_by_chain.back();
  result.pair_log_ratios = std::move(pairs.log_ratios);
  result.overlaps = std::move(pairs.overlaps);
  return result;
}

RoundEvidence round_evidence(MatrixView<const double> v, MatrixView<const std::uint32_t> replicas,
                             std::span<const double> betas) {
  return round_evidence(v, replicas, betas, !betas.empty() && betas[0] == 0.0);
}

}  // namespace numpygeons
