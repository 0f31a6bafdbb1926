/// Fits a mixture of normals to points by expectation maximisation.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace numpygeons {

/// A mixture of `n_components` normals: component k has mean `means[k]` and covariance F F', where
/// F = `factors[k]` is lower triangular with a positive diagonal and `whiteners[k]` its inverse.
struct NormalMixture {
  std::size_t n_components{}, dimension{};
  std::vector<double> log_weights;  ///< (n_components,), the weights sum to 1
  std::vector<double> means;        ///< (n_components, dimension)
  std::vector<double> factors;      ///< (n_components, dimension, dimension)
  std::vector<double> whiteners;    ///< (n_components, dimension, dimension)
};

/// Fits by `n_steps` steps of expectation maximisation (Dempster, Laird & Rubin 1977) to `points`,
/// (n, dimension). Draws nothing: the same points give the same mixture.
///
/// The start is that of k-means++ (Arthur & Vassilvitskii 2007), with multiples of the golden
/// ratio, modulo 1, in the place of its uniforms. A component of n points has its own variances
/// counted once more on the diagonal, with weight 1/n, which keeps its covariance definite whatever
/// the units, and does not widen it towards points far away; one of fewer than 2 `dimension`
/// points takes the covariance within all components.
///
/// Throws std::invalid_argument when there are no points, or fewer than components.
[[nodiscard]] NormalMixture fit_normal_mixture(std::span<const double> points,
                                               std::size_t dimension, std::size_t n_components,
                                               std::size_t n_steps);

}  // namespace numpygeons
