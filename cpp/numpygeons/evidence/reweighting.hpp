/// Reweights the states of all chains to a beta between them.
#pragma once

#include <span>
#include <vector>

#include "numpygeons/evidence/mbar.hpp"
#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// log Z(beta) - log Z(betas[0]) in nats, with the influence of scan s and chain i on it,
/// n_scans x n_chains, centred over scans; no influence: the error is infinite.
struct CurvePoint {
  double log_z{};
  std::vector<double> influence{};
};

/// One point per query, queries in [betas[0], 1]. With the weight W = a_i exp(beta V) / sum_j a_j
/// exp(f_j + beta_j V), log Z(beta) is the log of its mean over scans of its sum over chains, and
/// the influence is W / mean W - 1 plus what the errors of f pass on. Keeps one n_scans x n_chains
/// matrix per query, so pass a few at a time.
[[nodiscard]] std::vector<CurvePoint> reweight(MatrixView<const double> v,
                                               std::span<const double> betas, const MbarFit& fit,
                                               std::span<const double> queries);

/// The pair of neighbouring chains around `query`: the i with betas[i] < query <= betas[i + 1], or
/// 0 for betas[0]. Needs two chains.
[[nodiscard]] std::size_t pair_around(std::span<const double> betas, double query) noexcept;

}  // namespace numpygeons
