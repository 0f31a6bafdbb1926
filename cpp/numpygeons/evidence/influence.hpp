/// Centres the influence values of scans and chains, and sums them over chains.
#pragma once

#include <vector>

#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// Subtracts from each column its mean. Deviations from the first row are averaged, so a constant
/// column becomes exactly 0.
void center_columns(MatrixView<double> values);

/// The sum of each row: one value per scan.
[[nodiscard]] std::vector<double> sum_over_chains(MatrixView<const double> values);

}  // namespace numpygeons
