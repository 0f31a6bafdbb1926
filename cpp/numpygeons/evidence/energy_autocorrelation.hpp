/// Correlates V before and after an exploration, by chain.
#pragma once

#include <cstdint>
#include <vector>

#include "numpygeons/math/matrix_view.hpp"

namespace numpygeons {

/// Correlation over scans of V before and after exploring, by chain: near 1 the explorer hardly
/// moves V, and swaps meet the same values again. `v` and `replicas`, who sat there, are n_scans x
/// n_chains, by chain, after exploring; before it is what the same replica had one scan earlier.
/// Scans where either is not finite are left out; NaN where fewer than three are left, or V is
/// constant before or after. Throws as `check_replicas`.
[[nodiscard]] std::vector<double> energy_autocorrelation(MatrixView<const double> v,
                                                         MatrixView<const std::uint32_t> replicas);

}  // namespace numpygeons
