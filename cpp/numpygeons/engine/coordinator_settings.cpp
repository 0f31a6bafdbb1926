/// Implements the check of settings.
#include "numpygeons/engine/coordinator_settings.hpp"

#include "numpygeons/base/counts.hpp"

namespace numpygeons {

CoordinatorSettings checked(const CoordinatorSettings& settings) {
  check_count("n_chains", settings.n_chains, 1, most_chains);
  check_count("dimension", settings.dimension, 1, most_counted);
  check_count("n_normals", settings.n_normals, 0, most_counted);
  check_count("n_uniforms", settings.n_uniforms, 0, most_counted);
  check_count("n_statistics", settings.n_statistics, 0, most_counted);
  check_count("n_proposals", settings.n_proposals, 0, most_counted);
  check_count("n_snapshots", settings.n_snapshots, 0, most_counted);
  return settings;
}

}  // namespace numpygeons
