/// Decides swaps: the acceptance probability of a pair of neighbouring chains.
#pragma once

#include <cmath>

namespace numpygeons {

/// log gamma_partner(x) - log gamma_own(x) on a linear path, in nats, from V(x).
/// V = -inf is the limit of V falling: -inf towards a larger beta, +inf towards a smaller one, 0
/// between equal betas; the same with signs changed for V = +inf. NaN only for a NaN.
[[nodiscard]] inline double linear_log_ratio(double v, double beta_own,
                                             double beta_partner) noexcept {
  return beta_own == beta_partner ? 0.0 : (beta_partner - beta_own) * v;
}

/// min(1, exp(log_ratio)), 0 for NaN, which stands where -inf meets +inf: in [0, 1], never NaN.
[[nodiscard]] inline double acceptance_of(double log_ratio) noexcept {
  if (log_ratio >= 0.0) return 1.0;
  return log_ratio < 0.0 ? std::exp(log_ratio) : 0.0;
}

/// min(1, exp(a + b)) for the log ratios a, b of the two sides: each is the partner's log density
/// minus the own, at the own state. Any path; one ratio alone does not give the swap.
/// A side with -inf would stand where its density is 0: probability 0, whatever the other side
/// says, +inf included. So a state with V = -inf never leaves beta = 0 upwards. Else a side with
/// +inf stands where its density is 0 now, and the probability is 1. 0 for a NaN: in [0, 1], never
/// NaN.
[[nodiscard]] inline double swap_acceptance(double log_ratio_lower,
                                            double log_ratio_upper) noexcept {
  return acceptance_of(log_ratio_lower + log_ratio_upper);  // NaN where -inf meets +inf
}

/// The sum of both sides on a linear path, from V: (beta_upper - beta_lower) (V_lower - V_upper),
/// which keeps the digits of a small difference of large V; NaN where -inf meets +inf.
[[nodiscard]] inline double linear_swap_log_ratio(double beta_lower, double beta_upper,
                                                  double v_lower, double v_upper) noexcept {
  if (std::isfinite(v_lower) && std::isfinite(v_upper))
    return linear_log_ratio(v_lower - v_upper, beta_lower, beta_upper);
  return linear_log_ratio(v_lower, beta_lower, beta_upper) +
         linear_log_ratio(v_upper, beta_upper, beta_lower);
}

/// `swap_acceptance` on a linear path, from V.
[[nodiscard]] inline double linear_swap_acceptance(double beta_lower, double beta_upper,
                                                   double v_lower, double v_upper) noexcept {
  return acceptance_of(linear_swap_log_ratio(beta_lower, beta_upper, v_lower, v_upper));
}

/// Whether a pair swaps: probability 1 always does, 0 never, for every uniform in (0, 1). The same
/// for the logarithms of both, where whatever is not below 0 stands for probability 1, NaN for 0.
/// Comparing logarithms takes no exponential of numbers that are known only when it is decided, so
/// that a device can decide the same in every bit.
[[nodiscard]] constexpr bool accepts_swap(double uniform, double acceptance) noexcept {
  return uniform < acceptance;
}

}  // namespace numpygeons
