/// Estimates the ratio of neighbouring normalising constants by Bennett's acceptance ratio.
#pragma once

#include <span>
#include <vector>

#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// One entry per neighbouring pair (i, i + 1) of chains.
struct Bennett {
  /// c_i, estimate of log Z(beta_{i+1}) - log Z(beta_i), in nats. Where a pair does not overlap it
  /// is the middle of [forward, backward], which is -inf when an end is.
  std::vector<double> log_ratios;
  /// h_i in [0, 1/2]: mean over scans of p(1-p) + q(1-q), 1/2 for identical chains.
  std::vector<double> overlaps;
  /// The two stepping stones, where the search starts.
  std::vector<double> forward;
  std::vector<double> backward;

  /// The pair with the smallest overlap; 0 when there is none.
  [[nodiscard]] std::size_t worst_pair() const noexcept;
  /// Whether n_scans times the overlap is below 1 for `pair`: its ratio has no finite error.
  [[nodiscard]] bool lacks_overlap(std::size_t pair, std::size_t n_scans) const noexcept {
    return static_cast<double>(n_scans) * overlaps[pair] < 1.0;
  }
};

/// Solves sum_s sigma(delta V[s, i] - c) = sum_s sigma(c - delta V[s, i+1]) for every pair, by
/// Newton steps of at most 20 inside a bracket, to 1e-10. `v` is n_scans x n_chains, by chain.
/// Bennett 1976, eq. 12. Throws as `check_log_ratios`.
[[nodiscard]] Bennett bennett(MatrixView<const double> v, std::span<const double> betas);

/// The influence of scan s and chain i on sum_i c_i, n_scans x n_chains, centred over scans:
/// p_i(s) / mean p_i - q_{i-1}(s) / mean q_{i-1}; pair `i` alone contributes to columns i, i + 1.
/// Only the pairs from `first` up to, not with, `last` are counted. All of them must overlap.
[[nodiscard]] std::vector<double> bennett_influence(MatrixView<const double> v,
                                                    std::span<const double> betas,
                                                    const Bennett& pairs, std::size_t first,
                                                    std::size_t last);

}  // namespace numpygeons
