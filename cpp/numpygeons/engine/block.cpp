/// Lets a device run blocks of scans: their randomness beforehand, and their replay afterwards.
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "numpygeons/base/errors.hpp"
#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/tempering/deo.hpp"

namespace numpygeons {

void Coordinator::require_alone(const char* what) const {
  if (ranks_->size() != 1 || n_workers() != 1)
    throw std::logic_error(std::string(what) + " is for one worker of one rank: there are " +
                           std::to_string(n_workers()) + " of " + std::to_string(ranks_->size()));
  if (!data_) throw std::logic_error(std::string(what) + " belongs to a round: none has begun");
}

template <class Real>
void Coordinator::draw_block(std::size_t first, std::size_t n_scans,
                             const BlockNoise<Real>& block) const {
  require_alone("a block of noise");
  if (first > n_scans_ || n_scans > n_scans_ - first)
    throw std::invalid_argument("the round has " + std::to_string(n_scans_) + " scans: got " +
                                std::to_string(n_scans) + " from " + std::to_string(first) + " on");
  const std::size_t n = settings_.n_chains;
  require_sizes("the block's", block, settings_, n_scans * n);
  std::size_t place = 0;
  for (std::uint64_t scan = first + 1; scan <= first + n_scans; ++scan)
    for (std::uint32_t i = 0; i < n; ++i, ++place) {
      draw_noise(scan, Replica{i}, place, block);
      propose(scan, Chain{i}, place, block);
      const bool is_lower = deo_partner(Chain{i}, scan, n) > Chain{i};
      block.log_swap_uniforms[place] = is_lower ? log_swap_uniform(scan, Chain{i}) : 0.0;
    }
}

template <class Real>
bool Coordinator::replay(std::size_t n_scans, const ExploredBlock<Real>& explored) {
  require_alone("a replay");
  if (scan_ > block_end_ || n_scans > block_end_ - scan_)
    throw std::invalid_argument("the block has " + std::to_string(block_end_ - scan_) +
                                " scans to come: got " + std::to_string(n_scans));
  const std::size_t n = settings_.n_chains;
  require_sizes("the block's", explored, settings_, n_scans * n);
  for (std::size_t s = 0; s < n_scans; ++s) {
    const bool goes_on = take(0, rows_of<Explored<Real>>(explored, settings_, s * n, n));
    if (failed_ || worker_failed_.load(std::memory_order_relaxed)) return false;
    check_chains(explored.chains.subspan(s * n, n));
    if (failed_) return false;
    if (!goes_on) break;
  }
  return !stopped_;
}

void Coordinator::check_chains(std::span<const std::int32_t> chains) {
  const auto is_same = [](std::int32_t got, Chain wanted) {
    return static_cast<std::uint32_t>(got) == wanted.value;
  };
  const auto [got, wanted] = std::ranges::mismatch(chains, index_process_.chains(), is_same);
  if (got == chains.end()) return;
  error_ = std::make_exception_ptr(ReproducibilityError(
      "the device swapped otherwise than the coordinator: round " + std::to_string(data_->round) +
      ", scan " + std::to_string(scan_) + ", replica " + std::to_string(got - chains.begin()) +
      " went to chain " + std::to_string(*got) + " instead of " + std::to_string(wanted->value) +
      "; does it compute in double precision? driver=\"stepwise\" leaves swaps to the "
      "coordinator"));
  failed_ = true;
  goes_on_ = false;
}

template void Coordinator::draw_block(std::size_t, std::size_t, const BlockNoise<float>&) const;
template void Coordinator::draw_block(std::size_t, std::size_t, const BlockNoise<double>&) const;
template bool Coordinator::replay(std::size_t, const ExploredBlock<float>&);
template bool Coordinator::replay(std::size_t, const ExploredBlock<double>&);

}  // namespace numpygeons
