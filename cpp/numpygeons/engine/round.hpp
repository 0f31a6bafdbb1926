/// Runs the scans of a round one by one, exploring through a function that the caller gives.
#pragma once

#include <cstddef>
#include <functional>

#include "numpygeons/engine/coordinator.hpp"

namespace numpygeons {

/// Explores a worker's replicas once, given the 0-based number of the scan in its round, and by
/// replica the chains and the randomness. The spans it returns must live until it is called again.
template <class Real>
using Explore = std::function<Explored<Real>(std::size_t scan, const NextScan<Real>& given)>;

/// Runs the scans of the coordinator's block (begin_block) as one of its workers; fewer when it is
/// asked to stop. Every worker must do the same, each in a thread of its own. Errors of `explore`
/// pass through, after the other workers were told; the coordinator's are for `rethrow`. Throws
/// std::invalid_argument when what was explored has the wrong shape, or for a worker that is not
/// there, std::logic_error where the block has no scans to come.
template <class Real>
void run_scans(Coordinator& coordinator, std::size_t worker, const Explore<Real>& explore);

}  // namespace numpygeons
