/// Draws the random numbers of a run's scans: those of explorers, and those that decide swaps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "numpygeons/base/indices.hpp"
#include "numpygeons/engine/coordinator_settings.hpp"
#include "numpygeons/engine/scan_arrays.hpp"
#include "numpygeons/tuning/proposals.hpp"

namespace numpygeons {

/// Each number is a function of the seed, its purpose, a replica or a chain, the round and the scan
/// (from 1): so they can be drawn anywhere, in any order, and ahead.
class Randomness {
 public:
  explicit Randomness(const CoordinatorSettings& settings) : settings_(settings) {}

  /// Sets what the chains propose from until it is set again: one table or more, whose `n_most` sum
  /// to `n_proposals`. Throws std::invalid_argument when they do not fit the settings.
  void set_proposals(std::vector<Proposals> tables);

  void begin_round(std::uint32_t round) noexcept { round_ = round; }

  /// Fills in row `row` of the normals, the uniforms and the keys.
  template <class Real>
  void draw(std::uint64_t scan, Replica replica, std::size_t row,
            const ScanNoise<Real>& noise) const;

  /// Fills in row `row` of the proposals.
  template <class Real>
  void propose(std::uint64_t scan, Chain chain, std::size_t row,
               const ScanNoise<Real>& noise) const;

  /// Log of the uniform that decides whether the pair (lower, lower + 1) swaps.
  [[nodiscard]] double log_swap_uniform(std::uint64_t scan, Chain lower) const;

 private:
  CoordinatorSettings settings_;
  std::vector<Proposals> proposals_;
  std::uint32_t round_{};
};

}  // namespace numpygeons
