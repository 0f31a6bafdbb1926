/// Measures the communication barrier from the rejection rates.
#pragma once

#include <optional>
#include <span>

#include "numpygeons/math/monotone_cubic.hpp"
#include "numpygeons/tempering/schedule.hpp"

namespace numpygeons {

/// Throws std::invalid_argument unless there is one rejection rate in [0, 1] per neighbouring pair
/// of `n_chains` chains.
void check_rejections(std::span<const double> rejections, std::size_t n_chains);

/// The global barrier Lambda, the cumulative one Lambda(beta) and the local one, its derivative.
/// Source: Syed et al., "Non-reversible parallel tempering", JRSS B 84, 2022, section 4.
class Barrier {
 public:
  /// `rejections`: mean rejection probability of the pairs (i, i + 1), shape (n_chains - 1,).
  /// Throws std::invalid_argument for another shape and for rates outside [0, 1].
  Barrier(const Schedule& schedule, std::span<const double> rejections);

  /// The sum of the rejection rates; 0 for one chain. Below the limit of many chains.
  [[nodiscard]] double global() const noexcept { return global_; }

  /// The monotone cubic through (beta_i, sum of the rates below i), and its derivative; 0 for one
  /// chain. Throws std::invalid_argument for a beta outside the schedule.
  [[nodiscard]] double cumulative(double beta) const;
  [[nodiscard]] double local(double beta) const;

 private:
  double global_ = 0.0;
  std::optional<MonotoneCubic> curve_;  // none for one chain
};

/// The barrier that pairs with these mean acceptance probabilities span in the limit of many
/// chains: the sum of (2 / sqrt(pi)) erfc^-1(acceptance). Unlike the sum of rejections it does not
/// end at the number of pairs. Exact where V is normal with a variance that does not change from
/// chain to chain; a pair that hardly accepts gives a lower bound. At most 31 for a pair, that of
/// an acceptance of 1e-300. Throws std::invalid_argument for acceptances outside [0, 1].
/// Source: Kofke, J. Chem. Phys. 117, 2002, 6911: erfc is the acceptance between normal laws of one
/// width.
[[nodiscard]] double extrapolated_barrier(std::span<const double> acceptances);

/// Restarts per scan, of all replicas together, where every chain forgets its state between two
/// scans, from the mean acceptances a of the pairs: 1 / (2 + 2 sum (1 - a) / a). 0 where a pair
/// never accepts, and for no pair: one chain has no restarts. Throws std::invalid_argument for
/// acceptances outside [0, 1].
/// Source: Syed et al. 2022, theorem 1, with the rejections r = 1 - a.
[[nodiscard]] double ideal_restart_rate(std::span<const double> acceptances);

}  // namespace numpygeons
