/// Estimates log Z at any beta, and differences of it, from one round.
#include "numpygeons/evidence/curve.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>

#include "numpygeons/evidence/bennett.hpp"
#include "numpygeons/evidence/influence_variance.hpp"
#include "numpygeons/evidence/inputs.hpp"
#include "numpygeons/evidence/mbar.hpp"
#include "numpygeons/evidence/reweighting.hpp"

namespace numpygeons {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

void check_queries(std::span<const double> betas, const RoundEvidence& round,
                   MatrixView<const double> v, std::span<const double> queries) {
  if (round.n_scans != v.n_rows || round.log_z_by_chain.size() != v.n_columns) {
    std::ostringstream message;
    message << "round has " << round.n_scans << " scans of " << round.log_z_by_chain.size()
            << " chains, v has " << v.n_rows << " of " << v.n_columns
            << ": pass the v that the round was made from";
    throw std::invalid_argument(message.str());
  }
  for (const double query : queries) {
    if (query >= betas[0] && query <= 1.0) continue;
    std::ostringstream message;
    message << "log Z is known for beta in [" << betas[0] << ", 1], not at " << query;
    throw std::invalid_argument(message.str());
  }
}

/// Gives points on the curve in the way that the round's own log Z was found.
class Curve {
 public:
  Curve(MatrixView<const double> v, std::span<const double> betas, const RoundEvidence& round)
      : v_(v), betas_(betas), round_(round) {
    if (round.method == EvidenceMethod::mbar) {
      std::vector<double> f;
      f.reserve(round.log_z_by_chain.size());
      for (const double log_z : round.log_z_by_chain) f.push_back(-log_z);
      std::vector<double> weights(betas.size(), 1.0);
      weights[0] = round.reference_weight;
      fit_ = mbar(v, betas, f, weights, 0);
      if (!fit_) throw std::invalid_argument("round was not made from this v: no fit");
    } else if (round.method == EvidenceMethod::bennett) {
      pairs_ = bennett(v, betas);
    }
  }

  /// Relative to chain `base`, which must not lie above any query; MBAR sees all chains at once and
  /// takes chain 0. A base keeps pairs below it, which may not overlap, out of a difference.
  [[nodiscard]] std::vector<CurvePoint> points(std::span<const double> queries,
                                               std::size_t base) const {
    if (fit_) return reweight(v_, betas_, *fit_, queries);
    std::vector<CurvePoint> result;
    for (const double query : queries) result.push_back(point_from_pair(query, base));
    return result;
  }

 private:
  [[nodiscard]] CurvePoint point_from_pair(double query, std::size_t base) const {
    if (round_.method == EvidenceMethod::none) {
      return {.log_z = std::numeric_limits<double>::quiet_NaN()};
    }
    if (query == betas_[base]) {
      return {.log_z = 0.0, .influence = std::vector<double>(v_.size(), 0.0)};
    }
    const std::size_t i = pair_around(betas_, query);
    const bool at_knot = query == betas_[i + 1];
    CurvePoint local{.log_z = pairs_.log_ratios[i]};
    if (!at_knot) local = point_within_pair(i, query);
    double log_z = 0.0;
    bool overlap = !pairs_.lacks_overlap(i, v_.n_rows);
    for (std::size_t j = base; j < i; ++j) {
      log_z += pairs_.log_ratios[j];
      overlap = overlap && !pairs_.lacks_overlap(j, v_.n_rows);
    }
    log_z += local.log_z;
    if (!overlap) return {.log_z = log_z};

    // Up to the knot below, or above when the query is that, the error is that of the pairs.
    std::vector<double> influence =
        bennett_influence(v_, betas_, pairs_, base, at_knot ? i + 1 : i);
    for (std::size_t s = 0; !at_knot && s < v_.n_rows; ++s) {
      influence[s * v_.n_columns + i] += local.influence[2 * s];
      influence[s * v_.n_columns + i + 1] += local.influence[2 * s + 1];
    }
    return {.log_z = log_z, .influence = std::move(influence)};
  }

  /// Relative to chain i, on the straight line to chain i + 1.
  [[nodiscard]] double interpolated(std::size_t i, double query) const {
    return pairs_.log_ratios[i] * ((query - betas_[i]) / (betas_[i + 1] - betas_[i]));
  }

  /// Relative to chain i, from chains i and i + 1 alone; MBAR of two chains is Bennett's ratio.
  [[nodiscard]] CurvePoint point_within_pair(std::size_t i, double query) const {
    if (pairs_.lacks_overlap(i, v_.n_rows)) return {.log_z = interpolated(i, query)};
    std::vector<double> columns;
    columns.reserve(2 * v_.n_rows);
    for (std::size_t s = 0; s < v_.n_rows; ++s) {
      columns.push_back(v_(s, i));
      columns.push_back(v_(s, i + 1));
    }
    const MatrixView<const double> two{columns.data(), v_.n_rows, 2};
    const std::array<double, 2> f = {0.0, -pairs_.log_ratios[i]};
    const std::array<double, 2> weights = {1.0, 1.0};
    const std::array<double, 1> queries = {query};
    const auto fit = mbar(two, betas_.subspan(i, 2), f, weights, 0);
    if (!fit) throw std::logic_error("chains that overlap have a singular Hessian");
    return std::move(reweight(two, betas_.subspan(i, 2), *fit, queries).front());
  }

  MatrixView<const double> v_;
  std::span<const double> betas_;
  const RoundEvidence& round_;
  std::optional<MbarFit> fit_;
  Bennett pairs_;
};

InfluenceVariance error_of(const std::vector<double>& influence, const RoundEvidence& round,
                           MatrixView<const std::uint32_t> replicas) {
  if (round.method == EvidenceMethod::none) {
    return {.variance = std::numeric_limits<double>::quiet_NaN(), .dof = 1.0};
  }
  if (influence.empty()) return {.variance = infinity, .dof = 1.0};
  return influence_variance({influence.data(), replicas.n_rows, replicas.n_columns}, replicas);
}

}  // namespace

LogZCurve log_z_curve(MatrixView<const double> v, MatrixView<const std::uint32_t> replicas,
                      std::span<const double> betas, const RoundEvidence& round,
                      std::span<const double> queries) {
  constexpr std::size_t n_at_once = 8;  // bounds the memory, shares the exponentials
  check_log_ratios(v, betas);
  check_replicas(replicas, v.n_rows, v.n_columns);
  check_queries(betas, round, v, queries);
  const Curve curve(v, betas, round);
  LogZCurve result;
  for (std::size_t start = 0; start < queries.size(); start += n_at_once) {
    const std::size_t count = std::min(n_at_once, queries.size() - start);
    for (const CurvePoint& point : curve.points(queries.subspan(start, count), 0)) {
      const InfluenceVariance error = error_of(point.influence, round, replicas);
      result.log_z.push_back(point.log_z);
      result.variance.push_back(error.variance);
      result.dof.push_back(error.dof);
    }
  }
  return result;
}

LogZDifference log_z_difference(MatrixView<const double> v,
                                MatrixView<const std::uint32_t> replicas,
                                std::span<const double> betas, const RoundEvidence& round,
                                double from, double to) {
  const std::array<double, 2> queries = {from, to};
  check_log_ratios(v, betas);
  check_replicas(replicas, v.n_rows, v.n_columns);
  check_queries(betas, round, v, queries);
  const auto above = std::ranges::upper_bound(betas, std::min(from, to));
  const auto base = static_cast<std::size_t>(above - betas.begin()) - 1;
  std::vector<CurvePoint> points = Curve(v, betas, round).points(queries, base);
  CurvePoint& end = points[1];
  if (points[0].influence.empty()) end.influence.clear();
  for (std::size_t t = 0; t < end.influence.size(); ++t) {
    end.influence[t] -= points[0].influence[t];
  }
  const InfluenceVariance error = error_of(end.influence, round, replicas);
  return {.log_z = from == to ? 0.0 : end.log_z - points[0].log_z,
          .variance = error.variance,
          .dof = error.dof};
}

std::vector<double> log_z_influence(MatrixView<const double> v, std::span<const double> betas,
                                    const RoundEvidence& round, double query) {
  const std::array<double, 1> queries = {query};
  check_log_ratios(v, betas);
  check_queries(betas, round, v, queries);
  return std::move(Curve(v, betas, round).points(queries, 0).front().influence);
}

}  // namespace numpygeons
