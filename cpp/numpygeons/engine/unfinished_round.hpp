/// Holds the scans of a round that has not ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "numpygeons/engine/round_data.hpp"

namespace numpygeons {

/// The scans of a round so far, with which it can go on later.
struct UnfinishedRound {
  std::size_t n_done{};
  std::vector<double> v;                ///< (n_done, n_chains)
  std::vector<std::uint32_t> replicas;  ///< (n_done, n_chains)
  std::vector<double> statistic_sums;   ///< (n_chains, n_statistics)
  std::vector<double> snapshots;        ///< (n, n_chains, dimension)
  std::vector<std::uint64_t> moments;   ///< (n_chains, 1 + 4 dimension), ExactMoments::words
  std::vector<std::uint32_t> chains;    ///< (n_chains,): of each replica, after the last scan
  std::uint64_t n_zero_likelihood{};
  std::optional<FirstZeroLikelihood> first_zero_likelihood;
};

}  // namespace numpygeons
