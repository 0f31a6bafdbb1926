/// Solves for the betas that share the barrier equally.
#include "numpygeons/tempering/schedule_tuning.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "numpygeons/base/to_text.hpp"
#include "numpygeons/math/monotone_cubic.hpp"
#include "numpygeons/math/normal_distribution.hpp"
#include "numpygeons/tempering/barrier.hpp"

namespace numpygeons {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double first_rejection = 0.4;         // aimed at between chains 0 and 1 of round 1
constexpr double least_finite_rejection = 0.2;  // of the draws without -inf, there
constexpr double least_share_above_step = 0.25;

void check_sorted_v(std::span<const double> sorted_v) {
  for (std::size_t j = 0; j < sorted_v.size(); ++j) {
    const auto entry = [&](std::size_t i) {
      return "sorted_v[" + std::to_string(i) + "] = " + to_text(sorted_v[i]);
    };
    if (!(sorted_v[j] < infinity))
      throw std::invalid_argument("sorted_v must be finite or -inf: got " + entry(j));
    if (j > 0 && sorted_v[j] > sorted_v[j - 1])
      throw std::invalid_argument("sorted_v must not increase: " + entry(j) + " exceeds " +
                                  entry(j - 1));
  }
}

std::size_t count_finite(std::span<const double> sorted_v) {
  const auto first_infinite = std::ranges::find(sorted_v, -infinity);
  return static_cast<std::size_t>(first_infinite - sorted_v.begin());
}

/// `reference_rejection` at beta > 0 for draws that are all finite; 0 for none.
double finite_rejection(std::span<const double> finite_v, double beta) {
  double sum = 0.0;
  double ranked = 0.0;
  for (std::size_t j = 0; j < finite_v.size(); ++j) {
    const double weight = std::exp(beta * (finite_v[j] - finite_v.front()));
    if (weight == 0.0) break;  // and so are all that follow
    sum += weight;
    ranked += weight * (2.0 * static_cast<double>(j) + 1.0);
  }
  if (sum == 0.0) return 0.0;
  return std::max(0.0, 1.0 - ranked / (static_cast<double>(finite_v.size()) * sum));
}

/// The curve r(0, beta) for beta > 0.
class ReferenceCurve {
 public:
  explicit ReferenceCurve(std::span<const double> sorted_v)
      : finite_v_(sorted_v.first(count_finite(sorted_v))),
        finite_share_(sorted_v.empty() ? 1.0
                                       : static_cast<double>(finite_v_.size()) /
                                             static_cast<double>(sorted_v.size())) {}

  [[nodiscard]] double rejection(double beta) const {
    return 1.0 - finite_share_ * (1.0 - finite_rejection(finite_v_, beta));
  }
  [[nodiscard]] double share(double beta) const { return 2.0 * erf_inverse(rejection(beta)); }
  [[nodiscard]] double step() const { return 2.0 * erf_inverse(1.0 - finite_share_); }
  [[nodiscard]] double finite_share() const { return finite_share_; }

  /// Whether r depends on beta at all.
  [[nodiscard]] bool is_flat() const {
    return finite_v_.empty() || finite_v_.front() == finite_v_.back();
  }

  /// The beta <= `most` with r(0, beta) = `rejection`, by bisection in log beta; `most` where r
  /// stays below. The curve must not be flat.
  [[nodiscard]] double solve(double rejection_wanted, double most) const {
    if (!(rejection(most) > rejection_wanted)) return most;
    // Below `low`, beta (V_0 - V_j) < 2^-53 for every finite j.
    const double range = std::min(finite_v_.front() - finite_v_.back(), 1e308);
    double low = std::log(std::max(0x1p-53 / range, std::numeric_limits<double>::min()));
    double high = std::log(most);
    for (int halving = 0; halving < 60 && low < high; ++halving) {
      const double middle = 0.5 * (low + high);
      if (middle <= low || middle >= high) break;
      (rejection(std::exp(middle)) > rejection_wanted ? high : low) = middle;
    }
    return std::min(std::exp(std::min(low, high)), most);
  }

 private:
  std::span<const double> finite_v_;
  double finite_share_;
};

/// Parts what rounding made equal, between fixed ends: the least change of the least bits.
Schedule strictly_increasing(std::vector<double> betas) {
  for (std::size_t k = 1; k + 1 < betas.size(); ++k)
    if (!(betas[k] > betas[k - 1])) betas[k] = std::nextafter(betas[k - 1], infinity);
  for (std::size_t k = betas.size() - 1; k-- > 1;)
    if (!(betas[k] < betas[k + 1])) betas[k] = std::nextafter(betas[k + 1], -infinity);
  return Schedule(std::move(betas));
}

std::vector<double> cumulative_sums(std::span<const double> steps) {
  std::vector<double> sums(steps.size() + 1);
  for (std::size_t i = 0; i < steps.size(); ++i) sums[i + 1] = sums[i] + steps[i];
  return sums;
}

}  // namespace

double reference_rejection(std::span<const double> sorted_v, double beta) {
  if (sorted_v.empty()) throw std::invalid_argument("sorted_v must have at least one draw");
  check_sorted_v(sorted_v);
  if (!(beta >= 0.0 && beta < infinity))
    throw std::invalid_argument("beta must be finite and not negative, got " + to_text(beta));
  return beta == 0.0 ? 0.0 : ReferenceCurve(sorted_v).rejection(beta);
}

Schedule initial_schedule(std::size_t n_chains, std::span<const double> sorted_v) {
  check_sorted_v(sorted_v);
  Schedule even = Schedule::equally_spaced(n_chains);
  const ReferenceCurve curve(sorted_v);
  if (n_chains < 3 || curve.is_flat()) return even;
  const double rejection =
      std::max(first_rejection, 1.0 - curve.finite_share() * (1.0 - least_finite_rejection));
  const double most = even.beta(Chain{1});
  const double first = curve.solve(rejection, most);
  if (first >= most) return even;

  std::vector<double> betas(n_chains, 1.0);
  betas[0] = 0.0;
  const auto n_steps = static_cast<double>(n_chains - 2);
  for (std::size_t k = 1; k + 1 < n_chains; ++k)
    betas[k] = std::exp(std::log(first) * (1.0 - static_cast<double>(k - 1) / n_steps));
  return strictly_increasing(std::move(betas));
}

Schedule tuned_schedule(const Schedule& schedule, std::span<const double> rejections,
                        std::uint64_t n_scans, std::span<const double> sorted_v) {
  check_rejections(rejections, schedule.n_chains());
  check_sorted_v(sorted_v);
  if (n_scans == 0) throw std::invalid_argument("n_scans must be at least 1, got 0");
  const std::size_t n_chains = schedule.n_chains();
  if (n_chains < 3) return schedule;
  const double most_rejection = 1.0 - 1.0 / (2.0 * static_cast<double>(n_scans) + 2.0);
  std::vector<double> shares;
  for (const double r : rejections)
    shares.push_back(2.0 * erf_inverse(std::clamp(r, 1e-3, most_rejection)));
  const std::vector<double> sums = cumulative_sums(shares);

  // Above the first positive beta: log beta as a function of the cumulative share.
  const std::span<const double> betas = schedule.betas();
  const std::size_t first = betas[0] > 0.0 ? 0 : 1;
  std::vector<double> logs;
  for (std::size_t i = first; i < n_chains; ++i) logs.push_back(std::log(betas[i]));
  const MonotoneCubic log_beta{std::span(sums).subspan(first), logs};

  // Below it: the curve of the reference, scaled to the measured share of the first pair.
  const ReferenceCurve curve(sorted_v);
  const double curve_share = first == 1 ? curve.share(betas[1]) : 0.0;
  const bool use_curve =
      first == 1 && !curve.is_flat() && curve_share > 1e-9 && curve_share < infinity;
  const double scale = use_curve ? shares[0] / curve_share : 0.0;
  const auto below = [&](double share) {
    if (!use_curve) return betas[1] * (share / sums[1]);
    return curve.solve(std::erf(0.5 * (share / scale)), betas[1]);
  };
  double step = 0.0;
  if (first == 1 && curve.step() > 0.0) step = use_curve ? curve.step() * scale : shares[0];

  std::vector<double> next(betas.begin(), betas.end());
  const double total = sums.back();
  const auto n_pairs = static_cast<double>(n_chains - 1);
  const double begin =
      std::max(total / n_pairs, step + least_share_above_step * (total - step) / n_pairs);
  for (std::size_t k = 1; k + 1 < n_chains; ++k) {
    const double along = static_cast<double>(k - 1) / static_cast<double>(n_chains - 2);
    const double share = begin + (total - begin) * along;
    next[k] = share < sums[first] ? below(share) : std::exp(log_beta.value(std::min(share, total)));
  }
  return strictly_increasing(std::move(next));
}

Schedule equal_rejection_schedule(const Schedule& schedule, std::span<const double> rejections) {
  check_rejections(rejections, schedule.n_chains());
  const std::size_t n_chains = schedule.n_chains();
  if (n_chains < 3) return schedule;
  std::vector<double> sums = cumulative_sums(rejections);
  const auto rises = [](double below, double above) { return !(above > below); };
  if (std::ranges::adjacent_find(sums, rises) != sums.end()) {
    std::vector<double> raised(rejections.begin(), rejections.end());
    for (double& r : raised) r += 1e-6;
    sums = cumulative_sums(raised);
  }
  const MonotoneCubic beta(sums, schedule.betas());
  std::vector<double> next(schedule.betas().begin(), schedule.betas().end());
  for (std::size_t k = 1; k + 1 < n_chains; ++k)
    next[k] =
        beta.value(sums.back() * (static_cast<double>(k) / static_cast<double>(n_chains - 1)));
  return strictly_increasing(std::move(next));
}

}  // namespace numpygeons
