/// Adapts what is tuned per chain: step sizes, scales, and their move to a new schedule.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace numpygeons {

/// Step sizes whose mean acceptance probability should come near `target`.
///
/// For Hamiltonian dynamics the energy error is about normal with variance s^2 and mean -s^2/2,
/// so the acceptance is 2 Phi(-s/2), and s grows as the square of the step (Beskos et al. 2013).
/// A change is limited to a factor between 0.1 and 3, the step to 4 units of the scale.
/// `acceptance` is clipped to [1/(2n+2), 1-1/(2n+2)] for n scans; NaN leaves the step as it is.
[[nodiscard]] std::vector<double> tuned_steps(std::span<const double> steps,
                                              std::span<const double> acceptance, double target,
                                              std::size_t n_scans);

/// Variances per chain and coordinate, (n_chains, dimension), from the pooled visits to a chain
/// and its neighbours, the old variance weighing `prior_visits` visits.
///
/// `counts` (n_chains,), `means` and `squared_deviations` (n_chains, dimension) describe the
/// visits. Chain 0 is left out, and keeps its old row, when `skip_first`. A coordinate that did
/// not move keeps its old variance.
[[nodiscard]] std::vector<double> neighbour_variances(std::span<const double> old,
                                                      std::span<const double> counts,
                                                      std::span<const double> means,
                                                      std::span<const double> squared_deviations,
                                                      double prior_visits, bool skip_first);

/// Rows of `values`, (n_chains, width), moved from `betas` to `new_betas` by linear interpolation
/// in log beta; constant beyond the ends, and chain 0 keeps its own row when its beta is 0.
[[nodiscard]] std::vector<double> carry_over(std::span<const double> betas,
                                             std::span<const double> values,
                                             std::span<const double> new_betas);

}  // namespace numpygeons
