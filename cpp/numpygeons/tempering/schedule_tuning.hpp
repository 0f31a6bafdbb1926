/// Chooses the schedule: before the first round from reference draws, then from rejection rates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "numpygeons/tempering/schedule.hpp"

namespace numpygeons {

/// r(0, beta): the mean rejection probability between the reference and beta, estimated from M
/// independent draws of V from the reference, sorted from large to small, -inf allowed.
/// With w_j = exp(beta (V_j - V_0)): 1 - sum_j w_j (2 j + 1) / (M sum_j w_j), j from 0, which is
/// the mean over all pairs of draws, the upper one weighted to beta (itself included, so it stays
/// below 1 - 1/M). Draws with V = -inf count in M with weight 0. 0 at beta = 0; at beta > 0 it
/// rises with beta from the share of draws with -inf, and is 1 where all are.
/// Throws std::invalid_argument for no draws, NaN, +inf, a wrong order, a negative beta.
[[nodiscard]] double reference_rejection(std::span<const double> sorted_v, double beta);

/// The schedule of the first round, from draws of V from the reference as above.
/// beta_1 has r(0, beta_1) = 0.4, and the rest is equal in log beta. Where already 1/(n_chains - 1)
/// has r <= 0.4, or the finite draws do not differ: equally spaced. Draws with -inf reject at every
/// beta > 0: where that leaves the finite draws less than 0.2 of rejection, they get 0.2.
/// Throws std::invalid_argument as above, also for n_chains == 0.
[[nodiscard]] Schedule initial_schedule(std::size_t n_chains, std::span<const double> sorted_v);

/// The next schedule, as many chains, equal shares of the measured barrier.
/// A pair's share is 2 erfinv(r), which adds up along the path where V is normal and, unlike r,
/// does not saturate; r is clipped to [1e-3, 1 - 1/(2 n_scans + 2)]. Between beta_1 and 1 the
/// cumulative share is a monotone cubic in log beta. Below beta_1, where log beta has no end, it is
/// the curve 2 erfinv(r(0, beta)) from reference draws (`reference_rejection`), scaled to the
/// measured share; without draws, or where they do not differ, proportional to beta. Draws with
/// -inf put a step at beta = 0 that no chain can divide: the first pair takes the step and at
/// least a quarter of an equal share of the rest.
/// `rejections`: by pair, shape (n_chains - 1,). The end points stay, betas increase strictly.
/// Throws std::invalid_argument for shapes, ranges and orders as above.
/// Source: Syed et al., "Non-reversible parallel tempering", JRSS B 84, 2022, section 5 (equal
/// shares); Predescu et al., J. Chem. Phys. 120, 2004 (r = erf(share / 2) for normal V).
[[nodiscard]] Schedule tuned_schedule(const Schedule& schedule, std::span<const double> rejections,
                                      std::uint64_t n_scans, std::span<const double> sorted_v);

/// The next schedule of the classical rule: equal shares of the sum of r, by a monotone cubic
/// through (sum of r below beta_i, beta_i). If two sums tie, 1e-6 is added to every rate.
/// Shapes, ends and errors as above. Source: Syed et al. 2022, section 5.
[[nodiscard]] Schedule equal_rejection_schedule(const Schedule& schedule,
                                                std::span<const double> rejections);

}  // namespace numpygeons
