/// Holds what one round leaves behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "numpygeons/base/indices.hpp"
#include "numpygeons/math/exact_moments.hpp"

namespace numpygeons {

/// A state with V = -inf at the reference, which is legal there: who met the first one, and when.
struct FirstZeroLikelihood {
  Replica replica;
  Chain chain;
  double beta{};
  std::uint64_t scan{};  ///< 1-based
};

/// Everything recorded in one round. Matrices are row-major, one row per scan, columns by chain;
/// V and log gamma_0 are in nats, after exploring and before swapping.
struct RoundData {
  std::uint32_t round{};
  std::size_t n_scans{}, n_chains{}, dimension{}, n_statistics{};
  std::vector<double> v;                ///< (n_scans, n_chains); -inf only where beta = 0
  std::vector<std::uint32_t> replicas;  ///< (n_scans, n_chains): who sat at the chain
  std::vector<double> statistic_sums;   ///< (n_chains, n_statistics): explorer statistics
  std::vector<Moments> moments;         ///< by chain, of the unconstrained coordinates
  std::size_t snapshot_stride{};  ///< every so many scans all chains' states are kept; 0: never
  std::vector<double> snapshots;  ///< (n_scans / stride, n_chains, dimension), unconstrained
  std::uint64_t n_restarts{}, n_round_trips{};
  std::uint64_t n_zero_likelihood{};  ///< states with V = -inf
  std::optional<FirstZeroLikelihood> first_zero_likelihood;
};

}  // namespace numpygeons
