/// Steps each replica's trip from one recorded chain to the next.
#include "numpygeons/tempering/round_trips.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "numpygeons/base/counts.hpp"

namespace numpygeons {

RoundTrips::RoundTrips(std::size_t n_chains)
    : trips_(checked_count("n_chains", n_chains, 1, most_chains), Trip::not_begun),
      restarts_(n_chains),
      round_trips_(n_chains) {}

void RoundTrips::start_round() noexcept {
  std::ranges::fill(trips_, Trip::not_begun);
  std::ranges::fill(restarts_, 0);
  std::ranges::fill(round_trips_, 0);
}

void RoundTrips::record(std::span<const Chain> chains) {
  const std::size_t n_chains = trips_.size();
  if (chains.size() != n_chains)
    throw std::invalid_argument("chains must have one entry per replica, " +
                                std::to_string(n_chains) + ", got " +
                                std::to_string(chains.size()));
  if (n_chains == 1) return;
  for (std::size_t i = 0; i < n_chains; ++i) {
    if (chains[i].value == 0) {
      round_trips_[i] += trips_[i] == Trip::from_target ? 1U : 0U;
      trips_[i] = Trip::from_reference;
    } else if (chains[i].value + 1 == n_chains && trips_[i] == Trip::from_reference) {
      ++restarts_[i];
      trips_[i] = Trip::from_target;
    }
  }
}

}  // namespace numpygeons
