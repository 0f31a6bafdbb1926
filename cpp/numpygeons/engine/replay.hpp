/// Lets a device run blocks of scans: their randomness beforehand, and their replay afterwards.
#pragma once

#include <cstddef>

#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/engine/scan_arrays.hpp"

namespace numpygeons {

/// Fills in the randomness of `n_scans` scans from the 0-based scan `first` of the round on, the
/// same as `prepare` and the swaps of those scans use. Throws std::invalid_argument when scans lie
/// beyond the round or a length does not fit, std::logic_error when no round has begun, or the
/// coordinator's rank or worker is not the only one.
template <class Real>
void draw_block(const Coordinator& coordinator, std::size_t first, std::size_t n_scans,
                const BlockNoise<Real>& noise);

/// Takes `n_scans` scans that were explored and swapped elsewhere through the same steps as
/// `Coordinator::scan`. False when they should stop, as there; also where the swaps lead to other
/// chains than `explored.chains`, which is a ReproducibilityError (see `Coordinator::rethrow`).
/// Throws as `draw_block`.
template <class Real>
[[nodiscard]] bool replay(Coordinator& coordinator, std::size_t n_scans,
                          const ExploredBlock<Real>& explored);

}  // namespace numpygeons
