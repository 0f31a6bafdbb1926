/// Keeps what the scans of a round find, and the states that are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "numpygeons/base/indices.hpp"
#include "numpygeons/comm/communicator.hpp"
#include "numpygeons/comm/partition.hpp"
#include "numpygeons/engine/coordinator_settings.hpp"
#include "numpygeons/engine/exchange.hpp"
#include "numpygeons/engine/round_data.hpp"
#include "numpygeons/engine/unfinished_round.hpp"
#include "numpygeons/engine/visits.hpp"
#include "numpygeons/tempering/index_process.hpp"
#include "numpygeons/tempering/round_trips.hpp"

namespace numpygeons {

/// States of the target that a rank's replicas were in.
struct OwnDraws {
  std::vector<std::uint64_t> scans;  ///< 0-based, increasing
  Draws draws;
};

/// The records of the round under way, if there is one. V, the replicas and the sums are the same
/// on all ranks; states are kept where they were found.
class Recorder {
 public:
  /// `own`: the replicas of this rank.
  Recorder(const CoordinatorSettings& settings, Block own);

  /// Starts a round with nothing recorded; as Visits::begin_round.
  void begin_round(std::uint32_t round, std::size_t n_scans, std::span<const double> centre,
                   std::span<const double> scale, std::size_t real_bytes, std::size_t most_draws);
  /// Whether a round has begun and not ended.
  [[nodiscard]] bool has_round() const noexcept { return data_ != nullptr; }
  [[nodiscard]] std::uint32_t round() const noexcept { return data_->round; }
  [[nodiscard]] std::size_t n_scans() const noexcept { return n_scans_; }  ///< of the round
  [[nodiscard]] std::size_t n_done() const noexcept { return n_done_; }    ///< scans recorded

  /// Records what all replicas have found in the next scan, at the chains where they stand. Throws
  /// NumericalError for numbers that leave no way on: V = +inf, V = -inf at beta > 0, log gamma_0
  /// not finite.
  void record(const Exchange& found, const IndexProcess& places, std::span<const double> betas);

  /// V of the scan last recorded, by chain.
  [[nodiscard]] std::span<const double> last_v() const noexcept {
    return std::span(data_->v).subspan((n_done_ - 1) * n_chains_, n_chains_);
  }

  /// Keeps, of the scan last recorded, the state of one of this rank's replicas, where states of
  /// its chain are asked for. Workers may do so at once, each for its own.
  template <class Real>
  void keep_state(Replica replica, Chain chain, std::span<const Real> x, double log_reference) {
    visits_.add<Real>(n_done_ - 1, replica, chain, x, log_reference);
  }

  /// Gives up the target's states recorded since the last call, in scan order. Collective.
  [[nodiscard]] Draws take_draws(Communicator& ranks);
  /// Gives up those of them that this rank's replicas were in.
  [[nodiscard]] OwnDraws take_own_draws();

  /// The scans so far; `chains` is left to the caller. Collective. Throws std::logic_error without
  /// a round.
  [[nodiscard]] UnfinishedRound unfinished(Communicator& ranks) const;
  /// Takes in the scans of a round that has just begun. Throws std::invalid_argument when a length
  /// does not fit, std::logic_error elsewhere in a round.
  void resume(const UnfinishedRound& so_far, const Communicator& ranks);

  /// Gives up the records of a complete round. Collective. Throws std::logic_error before the last
  /// scan.
  [[nodiscard]] std::shared_ptr<RoundData> end_round(Communicator& ranks);

 private:
  /// V of a replica at a chain, as it counts.
  [[nodiscard]] double checked_v(const Finding& finding, Replica replica, Chain chain, double beta);
  [[noreturn]] void leave_no_way_on(const char* what, Replica replica, Chain chain,
                                    double beta) const;
  /// Who was at the target in the next scan whose draw has not been taken.
  [[nodiscard]] Replica next_at_target() noexcept;

  std::size_t n_chains_, n_statistics_, dimension_;
  Block own_;
  Visits visits_;
  RoundTrips round_trips_;
  std::shared_ptr<RoundData> data_;
  std::size_t n_scans_{}, n_done_{};
  std::size_t n_draws_taken_{};  // scans whose draws were given up
};

}  // namespace numpygeons
