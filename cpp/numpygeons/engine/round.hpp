/// Runs the scans of a round one by one, exploring through a function that the caller gives.
#pragma once

#include <cstddef>
#include <functional>

#include "numpygeons/engine/coordinator.hpp"

namespace numpygeons {

/// Explores every replica once, given the 0-based number of the scan in its round, and by replica
/// the chains and the randomness. The spans it returns must live until it is called again.
template <class Real>
using Explore = std::function<Explored<Real>(std::size_t scan, const NextScan<Real>& given)>;

/// Runs the next `n_scans` scans of the coordinator's round, fewer when it is asked to stop.
/// Errors of `explore` pass through; the coordinator's are rethrown. Throws std::invalid_argument
/// when what was explored has the wrong shape.
template <class Real>
void run_scans(Coordinator& coordinator, std::size_t n_scans, const Explore<Real>& explore);

}  // namespace numpygeons
