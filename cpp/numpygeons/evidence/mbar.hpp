/// Estimates the normalising constants of all chains together (MBAR), with influence values.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "numpygeons/math/cholesky.hpp"
#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// The weighted MBAR equations at one f: score[k] = mean_s S[s, k] - a_k, of length n_chains, and
/// their Jacobian, n_chains x n_chains, symmetric, singular along (1, ..., 1).
struct MbarEquations {
  std::vector<double> score;
  std::vector<double> hessian;
};

/// A solution: minus log Z by chain (f[0] = 0), the weights it was found with, the factor of the
/// Hessian at it, or a step before it, without the first row and column, and the largest move of an
/// entry in the last step.
struct MbarFit {
  std::vector<double> f;
  std::vector<double> weights;
  Cholesky factor;
  double last_move{};

  /// Column of the inverse Hessian that belongs to `chain`, by chain, 0 for chain 0.
  [[nodiscard]] std::vector<double> direction(std::size_t chain) const;
  /// The inverse Hessian times `right`, both by chain; entry 0 of `right` is not read, that of the
  /// result is 0.
  [[nodiscard]] std::vector<double> apply(std::span<const double> right) const;
};

/// With p_k as in `Mixture` and S[s, k] = sum_i a_i p_k(V[s, i]). One exponential per log ratio and
/// chain; nothing of that size is kept. `v` is n_scans x n_chains, by chain.
[[nodiscard]] MbarEquations mbar_equations(MatrixView<const double> v,
                                           std::span<const double> betas, std::span<const double> f,
                                           std::span<const double> weights);

/// `n_steps` Newton steps from `start` (minus log Z by chain, start[0] = 0), each entry moving by
/// at most 5. From Bennett's ratios one step is within 1e-4 of the root at 1024 scans. Nothing when
/// the Hessian is singular to working precision or a step is not finite: chains do not overlap.
/// Shirts & Chodera 2008, eq. 11; weights as in Doss & Tan 2014.
[[nodiscard]] std::optional<MbarFit> mbar(MatrixView<const double> v, std::span<const double> betas,
                                          std::span<const double> start,
                                          std::span<const double> weights, std::size_t n_steps);

/// One of those steps, with the Hessian where it began: half the work of `mbar` with one.
[[nodiscard]] std::optional<MbarFit> mbar_step(MatrixView<const double> v,
                                               std::span<const double> betas,
                                               std::span<const double> start,
                                               std::span<const double> weights);

/// Newton steps until none of the entries moves by more than 1e-3, of which about the square is
/// left, a thousandth of the standard error or less: rounds long enough for a smaller one start
/// nearer. One or two from Bennett's ratios. The Hessian is that of the last step. Nothing, too,
/// when 20 steps do not do.
[[nodiscard]] std::optional<MbarFit> mbar_root(MatrixView<const double> v,
                                               std::span<const double> betas,
                                               std::span<const double> start,
                                               std::span<const double> weights);

/// sum_k direction[k] a_i p_k(V[s, i]), n_scans x n_chains, centred over scans. With
/// fit.direction(k) it is the influence of scan s and chain i on log Z(beta_k): the error of
/// -fit.f[k] is the mean over scans of its sum over chains, up to O(1 / n_scans).
[[nodiscard]] std::vector<double> mbar_influence(MatrixView<const double> v,
                                                 std::span<const double> betas, const MbarFit& fit,
                                                 std::span<const double> direction);

}  // namespace numpygeons
