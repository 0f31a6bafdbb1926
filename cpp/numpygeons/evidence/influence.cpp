/// Centres the influence values of scans and chains, and sums them over chains.
#include "numpygeons/evidence/influence.hpp"

namespace numpygeons {

void center_columns(MatrixView<double> values) {
  if (values.n_rows == 0) return;
  const std::vector<double> first(values.row(0).begin(), values.row(0).end());
  std::vector<double> mean(values.n_columns, 0.0);
  for (std::size_t s = 0; s < values.n_rows; ++s) {
    for (std::size_t i = 0; i < values.n_columns; ++i) mean[i] += values(s, i) - first[i];
  }
  for (double& m : mean) m /= static_cast<double>(values.n_rows);
  for (std::size_t s = 0; s < values.n_rows; ++s) {
    for (std::size_t i = 0; i < values.n_columns; ++i) {
      values(s, i) = (values(s, i) - first[i]) - mean[i];
    }
  }
}

std::vector<double> sum_over_chains(MatrixView<const double> values) {
  std::vector<double> sums(values.n_rows, 0.0);
  for (std::size_t s = 0; s < values.n_rows; ++s) {
    for (const double value : values.row(s)) sums[s] += value;
  }
  return sums;
}

}  // namespace numpygeons
