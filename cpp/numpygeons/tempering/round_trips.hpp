/// Counts the trips of the replicas between reference and target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "numpygeons/base/indices.hpp"

namespace numpygeons {

/// Per replica: a tempered restart is a trip from the reference to the target, a round trip one
/// from the target, to which a restart led, back to the reference. Counts belong to one round.
/// Source: Syed et al., "Non-reversible parallel tempering", JRSS B 84, 2022, section 3.
class RoundTrips {
 public:
  /// One replica per chain. With one chain there are no trips.
  /// Throws std::invalid_argument for n_chains == 0.
  explicit RoundTrips(std::size_t n_chains);

  /// Forgets counts and trips under way: call at the start of each round.
  void start_round() noexcept;

  /// Records the chain of each replica, in order of replicas: call once per scan, before the swap.
  /// Throws std::invalid_argument for another shape.
  void record(std::span<const Chain> chains);

  [[nodiscard]] std::span<const std::uint64_t> restarts() const noexcept { return restarts_; }
  [[nodiscard]] std::span<const std::uint64_t> round_trips() const noexcept { return round_trips_; }
  [[nodiscard]] std::uint64_t n_restarts() const noexcept {
    return std::accumulate(restarts_.begin(), restarts_.end(), std::uint64_t{0});
  }
  [[nodiscard]] std::uint64_t n_round_trips() const noexcept {
    return std::accumulate(round_trips_.begin(), round_trips_.end(), std::uint64_t{0});
  }

 private:
  enum class Trip : std::uint8_t { not_begun, from_reference, from_target };

  std::vector<Trip> trips_;  // by replica, as the next two
  std::vector<std::uint64_t> restarts_;
  std::vector<std::uint64_t> round_trips_;
};

}  // namespace numpygeons
