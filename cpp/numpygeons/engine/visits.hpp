/// Keeps the states that the chains were seen in: moments, snapshots, and the target's draws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "numpygeons/base/indices.hpp"
#include "numpygeons/comm/communicator.hpp"
#include "numpygeons/comm/partition.hpp"
#include "numpygeons/math/exact_moments.hpp"

namespace numpygeons {

/// What is kept of a round.
struct VisitSettings {
  std::size_t n_chains{};
  std::size_t dimension{};
  std::size_t n_snapshots{};  ///< states kept per chain and round, at most
  bool keeps_draws{true};     ///< the target's states
  bool keeps_moments{true};   ///< first and second moments per chain
};

/// States of the target, one per scan.
struct Draws {
  std::vector<std::byte> x;           ///< (n, dimension), unconstrained, in the model's number type
  std::vector<double> log_reference;  ///< (n,), log gamma_0
};

/// Each rank keeps what its own replicas visit; `take_draws`, `snapshots` and `moments` gather that
/// of all ranks, so that every rank must call them. Who was where comes in as an argument: the
/// replicas at the chains, one row of n_chains per scan.
class Visits {
 public:
  /// `own` are the replicas of this rank.
  Visits(const VisitSettings& settings, Block own);

  /// Forgets everything. `centre` and `scale`, (n_chains, dimension), give ExactMoments its units;
  /// both empty when moments are not kept. `real_bytes` is the size of the model's number type,
  /// `most_draws` the number of scans between two calls of `take_draws`.
  void begin_round(std::size_t n_scans, std::span<const double> centre,
                   std::span<const double> scale, std::size_t real_bytes, std::size_t most_draws);

  /// Whether the states of the 0-based scan become snapshots. Call `make_room` before, if so.
  [[nodiscard]] bool is_kept(std::size_t scan) const noexcept {
    return stride_ > 0 && (scan + 1) % stride_ == 0;
  }
  void make_room();

  /// Goes on after the scans of `replicas`, from what `snapshots` and `moment_words` gave then.
  /// Only one rank may bring words. Throws std::invalid_argument when a length does not fit.
  void resume(std::span<const std::uint32_t> replicas, std::span<const double> snapshots,
              std::span<const std::uint64_t> words);

  /// Adds one state of an own replica; several threads may add those of different ones.
  template <class Real>
  void add(std::size_t scan, Replica replica, Chain chain, std::span<const Real> x,
           double log_reference);

  /// Gives up those of the target's states since the last call that own replicas were in; every
  /// rank for itself.
  [[nodiscard]] Draws take_own_draws();

  /// Gives up the target's states since the last call, in scan order; `at_target` is who was there.
  [[nodiscard]] Draws take_draws(Communicator& ranks, std::span<const Replica> at_target);

  /// Unconstrained states by chain, (n kept so far, n_chains, dimension).
  [[nodiscard]] std::vector<double> snapshots(Communicator& ranks,
                                              std::span<const std::uint32_t> replicas) const;
  [[nodiscard]] std::size_t snapshot_stride() const noexcept { return stride_; }

  /// Sums of all ranks, by chain; empty when moments are not kept.
  [[nodiscard]] std::vector<ExactMoments> moments(Communicator& ranks) const;

  /// The same as words, (n_chains, 1 + 4 dimension).
  [[nodiscard]] std::vector<std::uint64_t> moment_words(Communicator& ranks) const;

 private:
  void reserve_draws(Draws& draws) const;

  VisitSettings settings_;
  Block own_;
  std::size_t stride_{}, real_bytes_{}, most_draws_{};
  std::vector<double> centre_, scale_;
  std::vector<ExactMoments> moments_;  // by chain, of own visits
  std::vector<double> snapshots_;      // (n, own, dimension), by replica
  Draws draws_;                        // of the scans in which an own replica was at the target
};

}  // namespace numpygeons
