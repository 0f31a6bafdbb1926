/// Solves small symmetric positive definite systems.
#include "numpygeons/math/cholesky.hpp"

#include <cmath>
#include <utility>

namespace numpygeons {

std::optional<Cholesky> Cholesky::factor(std::span<const double> matrix, std::size_t n) {
  std::vector<double> lower(matrix.begin(), matrix.end());
  for (std::size_t row = 0; row < n; ++row) {
    double* const this_row = &lower[row * n];
    for (std::size_t column = 0; column < row; ++column) {
      const double* const other = &lower[column * n];
      double sum = this_row[column];
      for (std::size_t k = 0; k < column; ++k) sum -= this_row[k] * other[k];
      this_row[column] = sum / other[column];
    }
    double pivot = this_row[row];
    for (std::size_t k = 0; k < row; ++k) pivot -= this_row[k] * this_row[k];
    if (!(pivot > 1e-14 * this_row[row]) || !std::isfinite(pivot)) return std::nullopt;
    this_row[row] = std::sqrt(pivot);
  }
  return Cholesky(std::move(lower), n);
}

std::vector<double> Cholesky::solve(std::span<const double> right) const {
  std::vector<double> x(right.begin(), right.end());
  for (std::size_t row = 0; row < n_; ++row) {
    for (std::size_t k = 0; k < row; ++k) x[row] -= lower_[row * n_ + k] * x[k];
    x[row] /= lower_[row * n_ + row];
  }
  for (std::size_t row = n_; row-- > 0;) {
    for (std::size_t k = row + 1; k < n_; ++k) x[row] -= lower_[k * n_ + row] * x[k];
    x[row] /= lower_[row * n_ + row];
  }
  return x;
}

}  // namespace numpygeons
