/// Implements the loop over scans.
#include "numpygeons/engine/round.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace numpygeons {

namespace {

void require_size(const char* name, std::size_t got, std::size_t n_chains, std::size_t width) {
  if (got != n_chains * width)
    throw std::invalid_argument(std::string("the exploration's ") + name + " must have shape (" +
                                std::to_string(n_chains) + ", " + std::to_string(width) +
                                "): got " + std::to_string(got) + " numbers");
}

}  // namespace

template <class Real>
void run_scans(Coordinator& coordinator, std::size_t n_scans, const Explore<Real>& explore) {
  const CoordinatorSettings& settings = coordinator.settings();
  std::vector<std::int32_t> chains(settings.n_chains);
  std::vector<Real> normals(settings.n_chains * settings.n_normals);
  std::vector<Real> uniforms(settings.n_chains * settings.n_uniforms);
  std::vector<std::uint32_t> keys(settings.hands_out_keys ? 2 * settings.n_chains : 0);
  std::vector<Real> proposals(settings.n_chains * settings.n_proposals * settings.dimension);
  std::vector<Real> proposal_logs(settings.n_chains * settings.n_proposals * 2);
  std::vector<std::int32_t> proposal_components(settings.n_chains * settings.n_proposals);
  const NextScan<Real> next{chains,    normals,       uniforms,           keys,
                            proposals, proposal_logs, proposal_components};
  coordinator.prepare(next);
  for (std::size_t s = 0; s < n_scans; ++s) {
    const Explored<Real> explored = explore(coordinator.n_scans_done(), next);
    require_size("x", explored.x.size(), settings.n_chains, settings.dimension);
    require_size("log_reference", explored.log_reference.size(), settings.n_chains, 1);
    require_size("v", explored.v.size(), settings.n_chains, 1);
    require_size("statistics", explored.statistics.size(), settings.n_chains,
                 settings.n_statistics);
    const bool go_on = coordinator.scan(explored, next);
    coordinator.rethrow();
    if (!go_on) return;
  }
}

template void run_scans(Coordinator&, std::size_t, const Explore<float>&);
template void run_scans(Coordinator&, std::size_t, const Explore<double>&);

}  // namespace numpygeons
