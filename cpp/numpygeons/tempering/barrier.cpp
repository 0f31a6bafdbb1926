/// Sums rejection rates to the barrier.
#include "numpygeons/tempering/barrier.hpp"

#include <algorithm>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include "numpygeons/base/to_text.hpp"
#include "numpygeons/math/normal_distribution.hpp"

namespace numpygeons {

namespace {

void check_acceptance(double acceptance) {
  if (!(acceptance >= 0.0 && acceptance <= 1.0))
    throw std::invalid_argument("acceptances must lie in [0, 1]: got " + to_text(acceptance));
}

}  // namespace

void check_rejections(std::span<const double> rejections, std::size_t n_chains) {
  if (rejections.size() + 1 != n_chains)
    throw std::invalid_argument(
        "rejections must have one entry per pair of " + std::to_string(n_chains) + " chains, " +
        std::to_string(n_chains - 1) + ", got " + std::to_string(rejections.size()));
  for (std::size_t i = 0; i < rejections.size(); ++i)
    if (!(rejections[i] >= 0.0 && rejections[i] <= 1.0))
      throw std::invalid_argument("rejections must lie in [0, 1]: got rejections[" +
                                  std::to_string(i) + "] = " + to_text(rejections[i]));
}

Barrier::Barrier(const Schedule& schedule, std::span<const double> rejections) {
  check_rejections(rejections, schedule.n_chains());
  if (rejections.empty()) return;
  std::vector<double> sums(schedule.n_chains());
  for (std::size_t i = 0; i < rejections.size(); ++i) sums[i + 1] = sums[i] + rejections[i];
  global_ = sums.back();
  curve_.emplace(schedule.betas(), sums);
}

double Barrier::cumulative(double beta) const { return curve_ ? curve_->value(beta) : 0.0; }

double Barrier::local(double beta) const { return curve_ ? curve_->derivative(beta) : 0.0; }

double extrapolated_barrier(std::span<const double> acceptances) {
  double sum = 0.0;
  for (const double acceptance : acceptances) {
    check_acceptance(acceptance);
    sum += erfc_inverse(std::max(acceptance, 1e-300));
  }
  return sum * 2.0 * std::numbers::inv_sqrtpi;
}

double ideal_restart_rate(std::span<const double> acceptances) {
  if (acceptances.empty()) return 0.0;
  double odds = 0.0;
  for (const double acceptance : acceptances) {
    check_acceptance(acceptance);
    odds += (1.0 - acceptance) / acceptance;  // inf where the pair never accepts
  }
  return 1.0 / (2.0 + 2.0 * odds);
}

}  // namespace numpygeons
