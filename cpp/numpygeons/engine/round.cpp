/// Implements the loop over scans.
#include "numpygeons/engine/round.hpp"

#include <stdexcept>
#include <string>
#include <vector>

namespace numpygeons {

namespace {

void require_size(const char* name, std::size_t got, std::size_t n_rows, std::size_t width) {
  if (got != n_rows * width)
    throw std::invalid_argument(std::string("the exploration's ") + name + " must have shape (" +
                                std::to_string(n_rows) + ", " + std::to_string(width) + "): got " +
                                std::to_string(got) + " numbers");
}

}  // namespace

template <class Real>
void run_scans(Coordinator& coordinator, std::size_t worker, const Explore<Real>& explore) {
  coordinator.require_scan(worker);
  if (!coordinator.goes_on())
    throw std::logic_error("the block has no scans to come: call begin_block first");
  const CoordinatorSettings& settings = coordinator.settings();
  const std::size_t n = coordinator.n_rows();
  std::vector<std::int32_t> reference_draw(1), chains(n);
  std::vector<Real> normals(n * settings.n_normals);
  std::vector<Real> uniforms(n * settings.n_uniforms);
  std::vector<std::uint32_t> keys(settings.hands_out_keys ? 2 * n : 0);
  std::vector<Real> proposals(n * settings.n_proposals * settings.dimension);
  std::vector<Real> proposal_logs(n * settings.n_proposals * n_proposal_logs);
  std::vector<std::int32_t> proposal_components(n * settings.n_proposals);
  const NextScan<Real> next{reference_draw, chains,    normals,       uniforms,
                            keys,           proposals, proposal_logs, proposal_components};
  coordinator.prepare(worker, next);
  Explored<Real> explored;
  do {
    try {
      explored = explore(coordinator.n_scans_done(), next);
      require_size("x", explored.x.size(), n, settings.dimension);
      require_size("log_reference", explored.log_reference.size(), n, 1);
      require_size("v", explored.v.size(), n, 1);
      require_size("statistics", explored.statistics.size(), n, settings.n_statistics);
    } catch (...) {
      coordinator.fail(worker);
      throw;
    }
  } while (coordinator.scan(worker, explored, next));
}

template void run_scans(Coordinator&, std::size_t, const Explore<float>&);
template void run_scans(Coordinator&, std::size_t, const Explore<double>&);

}  // namespace numpygeons
