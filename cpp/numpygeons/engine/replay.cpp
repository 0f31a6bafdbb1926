/// Implements blocks of scans that run elsewhere.
#include "numpygeons/engine/replay.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/base/errors.hpp"
#include "numpygeons/tempering/deo.hpp"

namespace numpygeons {

namespace {

/// Fails where the swaps of the scan just taken led to other chains, by replica, than these.
void check_chains(Coordinator& coordinator, std::span<const std::int32_t> chains) {
  const auto is_same = [](std::int32_t got, Chain wanted) {
    return std::cmp_equal(got, wanted.value);
  };
  const auto [got, wanted] =
      std::ranges::mismatch(chains, coordinator.index_process().chains(), is_same);
  if (got == chains.end()) return;
  coordinator.refuse(std::make_exception_ptr(ReproducibilityError(
      "the device swapped otherwise than the coordinator: round " +
      std::to_string(coordinator.round()) + ", scan " + std::to_string(coordinator.n_scans_done()) +
      ", replica " + std::to_string(got - chains.begin()) + " went to chain " +
      std::to_string(*got) + " instead of " + std::to_string(wanted->value) +
      "; does it compute in double precision? driver=\"stepwise\" leaves swaps to the "
      "coordinator")));
}

}  // namespace

template <class Real>
void draw_block(const Coordinator& coordinator, std::size_t first, std::size_t n_scans,
                const BlockNoise<Real>& noise) {
  coordinator.require_alone("a block of noise");
  const std::size_t n = coordinator.settings().n_chains, n_all = coordinator.n_scans();
  if (first > n_all || n_scans > n_all - first)
    throw std::invalid_argument("the round has " + std::to_string(n_all) + " scans: got " +
                                std::to_string(n_scans) + " from " + std::to_string(first) + " on");
  require_sizes("the block's", noise, coordinator.settings(), n_scans * n);
  const Randomness& randomness = coordinator.randomness();
  std::size_t row = 0;
  for (std::uint64_t scan = first + 1; scan <= first + n_scans; ++scan)
    for (std::uint32_t i = 0; i < n; ++i, ++row) {
      randomness.draw<Real>(scan, Replica{i}, row, noise);
      randomness.propose<Real>(scan, Chain{i}, row, noise);
      const bool is_lower = deo_partner(Chain{i}, scan, n) > Chain{i};
      noise.log_swap_uniforms[row] = is_lower ? randomness.log_swap_uniform(scan, Chain{i}) : 0.0;
    }
}

template <class Real>
bool replay(Coordinator& coordinator, std::size_t n_scans, const ExploredBlock<Real>& explored) {
  coordinator.require_alone("a replay");
  if (n_scans > coordinator.n_scans_to_come())
    throw std::invalid_argument("the block has " + std::to_string(coordinator.n_scans_to_come()) +
                                " scans to come: got " + std::to_string(n_scans));
  const CoordinatorSettings& settings = coordinator.settings();
  const std::size_t n = settings.n_chains;
  require_sizes("the block's", explored, settings, n_scans * n);
  for (std::size_t s = 0; s < n_scans; ++s) {
    const bool goes_on = coordinator.take(0, rows_of<Explored<Real>>(explored, settings, s * n, n));
    if (!coordinator.is_sound()) return false;
    check_chains(coordinator, explored.chains.subspan(s * n, n));
    if (coordinator.failed()) return false;
    if (!goes_on) break;
  }
  return !coordinator.stopped();
}

template void draw_block(const Coordinator&, std::size_t, std::size_t, const BlockNoise<float>&);
template void draw_block(const Coordinator&, std::size_t, std::size_t, const BlockNoise<double>&);
template bool replay(Coordinator&, std::size_t, const ExploredBlock<float>&);
template bool replay(Coordinator&, std::size_t, const ExploredBlock<double>&);

}  // namespace numpygeons
