/// States what stays the same for a whole run.
#pragma once

#include <cstddef>
#include <cstdint>

namespace numpygeons {

/// What stays the same for a whole run. The noise counts are per replica and scan.
struct CoordinatorSettings {
  std::uint64_t seed{1};
  std::size_t n_chains{};      ///< also the number of replicas
  std::size_t dimension{};     ///< unconstrained coordinates
  std::size_t n_normals{};     ///< standard normals that the explorer asks for
  std::size_t n_uniforms{};    ///< uniforms in (0, 1) that the explorer asks for
  std::size_t n_statistics{};  ///< numbers that the explorer reports
  bool hands_out_keys{};       ///< the explorer asks for a JAX key
  std::size_t n_proposals{};   ///< draws from fitted mixtures that the explorer asks for, at most
  std::size_t n_snapshots{};   ///< states kept per chain and round, at most
  bool records_draws{true};    ///< keep the target's states
  bool records_moments{true};  ///< keep first and second moments per chain
};

/// The settings. Throws std::invalid_argument when n_chains or dimension is 0, or a count is more
/// than can be.
[[nodiscard]] CoordinatorSettings checked(const CoordinatorSettings& settings);

}  // namespace numpygeons
