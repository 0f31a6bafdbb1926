/// Implements the loop over scans.
#include "numpygeons/engine/round.hpp"

#include <vector>

namespace numpygeons {

template <class Real>
void run_scans(Coordinator& coordinator, std::size_t n_scans, const Explore<Real>& explore) {
  const CoordinatorSettings& settings = coordinator.settings();
  std::vector<std::int32_t> chains(settings.n_chains);
  std::vector<Real> normals(settings.n_chains * settings.n_normals);
  std::vector<Real> uniforms(settings.n_chains * settings.n_uniforms);
  std::vector<std::uint32_t> keys(settings.hands_out_keys ? 2 * settings.n_chains : 0);
  const NextScan<Real> next{chains, normals, uniforms, keys};
  coordinator.prepare(next);
  for (std::size_t s = 0; s < n_scans; ++s) {
    const Explored<Real> explored =
        explore(coordinator.n_scans_done(), chains, normals, uniforms, keys);
    const bool go_on = coordinator.scan(explored, next);
    coordinator.rethrow();
    if (!go_on) return;
  }
}

template void run_scans(Coordinator&, std::size_t, const Explore<float>&);
template void run_scans(Coordinator&, std::size_t, const Explore<double>&);

}  // namespace numpygeons
