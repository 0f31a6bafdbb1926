/// Solves small symmetric positive definite systems.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace numpygeons {

/// The lower triangular factor of a symmetric positive definite matrix.
class Cholesky {
 public:
  /// Factors the n x n row-major `matrix`, of which the lower triangle is read.
  /// Nothing when a pivot falls below 1e-14 of its diagonal element: singular to working precision.
  [[nodiscard]] static std::optional<Cholesky> factor(std::span<const double> matrix,
                                                      std::size_t n);

  /// The solution of matrix * x = right, for `right` of length n.
  [[nodiscard]] std::vector<double> solve(std::span<const double> right) const;

 private:
  Cholesky(std::vector<double> lower, std::size_t n) : lower_(std::move(lower)), n_(n) {}

  std::vector<double> lower_;
  std::size_t n_;
};

}  // namespace numpygeons
