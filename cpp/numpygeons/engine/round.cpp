/// Implements the loop over scans.
#include "numpygeons/engine/round.hpp"

#include <stdexcept>

namespace numpygeons {

template <class Real>
void run_scans(Coordinator& coordinator, std::size_t worker, const Explore<Real>& explore) {
  coordinator.require_scan(worker);
  if (!coordinator.goes_on())
    throw std::logic_error("the block has no scans to come: call begin_block first");
  const CoordinatorSettings& settings = coordinator.settings();
  const std::size_t n = coordinator.n_rows();
  const Owned<NextScan<Real>> owned(settings, n);
  const NextScan<Real>& next = owned.arrays();
  coordinator.prepare(worker, next);
  Explored<Real> explored;
  do {
    try {
      explored = explore(coordinator.n_scans_done(), next);
      require_sizes("the exploration's", explored, settings, n);
    } catch (...) {
      coordinator.fail(worker);
      throw;
    }
  } while (coordinator.scan(worker, explored, next));
}

template void run_scans(Coordinator&, std::size_t, const Explore<float>&);
template void run_scans(Coordinator&, std::size_t, const Explore<double>&);

}  // namespace numpygeons
