/// Does everything between two explorations: records, swaps, and hands out the next randomness.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "numpygeons/comm/communicator.hpp"
#include "numpygeons/comm/partition.hpp"
#include "numpygeons/comm/rendezvous.hpp"
#include "numpygeons/engine/coordinator_settings.hpp"
#include "numpygeons/engine/round_data.hpp"
#include "numpygeons/engine/scan_arrays.hpp"
#include "numpygeons/engine/unfinished_round.hpp"
#include "numpygeons/engine/visits.hpp"
#include "numpygeons/tempering/index_process.hpp"
#include "numpygeons/tempering/round_trips.hpp"
#include "numpygeons/tempering/schedule.hpp"
#include "numpygeons/tuning/proposals.hpp"

namespace numpygeons {

/// Owns the index process and the recorders of a run.
///
/// The replicas are split over ranks, and a rank's over its workers, one thread each. All workers
/// meet once per scan; one of them, on every rank, then records and swaps for all chains, from the
/// V of all ranks. States stay where they are.
///
/// Every random number is a function of (seed, purpose, replica, round, scan), every decision one
/// of numbers that all ranks hold, and every sum over replicas one of integers or in the order of
/// chains: so the number of ranks and workers does not show in the results. A scan that fails
/// keeps its error for `rethrow`, because the caller may be a compiled program that cannot carry
/// it.
///
/// Collective, to be called by every rank: `scan`, `take_draws`, `unfinished`, `end_round`.
class Coordinator {
 public:
  /// Replica r starts at chain r. No `ranks`: this process is alone. Throws std::invalid_argument
  /// when n_chains, dimension or n_workers is 0.
  explicit Coordinator(const CoordinatorSettings& settings,
                       std::shared_ptr<Communicator> ranks = nullptr, std::size_t n_workers = 1);

  [[nodiscard]] std::size_t n_workers() const noexcept { return blocks_.size(); }
  /// The replicas of a worker.
  [[nodiscard]] Block replicas_of(std::size_t worker) const { return blocks_.at(worker); }
  /// Rows of every worker's arrays, however few of them are its replicas: the same for every number
  /// of ranks and workers, so that all run the same instructions. Compilers contract products
  /// otherwise for another number of rows, and last bits with them. At least 2, because they treat
  /// arrays of a single row as no arrays.
  [[nodiscard]] std::size_t n_rows() const noexcept {
    return std::max<std::size_t>(settings_.n_chains, 2);
  }

  /// Starts round `round` (1-based) with empty recorders; scans count from 1 again. The rest as
  /// Visits::begin_round. Throws std::invalid_argument when a shape does not fit the settings.
  void begin_round(std::uint32_t round, std::size_t n_scans, const Schedule& schedule,
                   std::span<const double> centre, std::span<const double> scale,
                   std::size_t real_bytes, std::size_t most_draws);

  /// Sets what the chains propose from until it is set again: one table or more, whose `n_most` sum
  /// to `n_proposals`. Throws std::invalid_argument when they do not fit the settings.
  void set_proposals(std::vector<Proposals> tables);

  /// Says that the next `n_scans` scans take their exact draws of the reference from one batch,
  /// from its draw `first` on.
  void begin_block(std::size_t n_scans, std::size_t first);

  /// Throws std::invalid_argument unless there is such a worker, std::logic_error unless a round
  /// has begun. `prepare` and `scan`, which are called in every scan, trust their callers.
  void require_scan(std::size_t worker) const;
  /// Whether the block has scans to come.
  [[nodiscard]] bool goes_on() const noexcept { return goes_on_; }

  /// Fills in the chains and the randomness of a worker's scan to come.
  template <class Real>
  void prepare(std::size_t worker, const NextScan<Real>& next) const;

  /// Records and swaps one scan with all other workers, then prepares the worker's next one. False
  /// when the exploration should stop: an error (see `rethrow`), a request to stop on any rank, or
  /// the last scan of the block.
  template <class Real>
  [[nodiscard]] bool scan(std::size_t worker, const Explored<Real>& explored,
                          const NextScan<Real>& next) noexcept;

  /// Fills in the randomness of `n_scans` scans from the 0-based scan `first` of the round on, the
  /// same as `prepare` and the swaps of those scans use. Throws std::invalid_argument when scans
  /// lie beyond the round or a length does not fit, std::logic_error when this rank or worker is
  /// not the only one.
  template <class Real>
  void draw_block(std::size_t first, std::size_t n_scans, const BlockNoise<Real>& block) const;

  /// Takes `n_scans` scans that were explored and swapped elsewhere through the same steps as
  /// `scan`. False when they should stop, as there; also where the swaps lead to other chains than
  /// `explored.chains`, which is a ReproducibilityError (see `rethrow`). Throws as `draw_block`.
  template <class Real>
  [[nodiscard]] bool replay(std::size_t n_scans, const ExploredBlock<Real>& explored);

  /// In place of `scan`: this worker's exploration failed. All workers of all ranks stop. Does
  /// nothing after the block's last scan.
  void fail(std::size_t worker) noexcept;

  /// Gives up the target's states recorded since the last call, in scan order.
  [[nodiscard]] Draws take_draws();

  /// Gives up those of them that this rank's replicas were in, without a word to other ranks.
  struct OwnDraws {
    std::vector<std::uint64_t> scans;  ///< 0-based, increasing
    Draws draws;
  };
  [[nodiscard]] OwnDraws take_own_draws();

  /// Throws the error of a failed scan, if there was one.
  void rethrow() const;
  /// Whether the last scan failed, on any rank; with an error of its own (`rethrow`) or that of an
  /// exploration, which stays with the worker that called `fail`.
  [[nodiscard]] bool failed() const noexcept { return failed_; }

  /// The scans of the round so far; its draws must have been taken.
  [[nodiscard]] UnfinishedRound unfinished() const;
  /// Goes on, right after `begin_round`, with a round that `unfinished` has described, whatever the
  /// number of ranks and workers was then. Throws std::invalid_argument when a length does not fit.
  void resume(const UnfinishedRound& so_far);

  /// Ends a complete round and gives up its records. Throws std::logic_error before the last scan.
  [[nodiscard]] std::shared_ptr<RoundData> end_round();

  /// Makes the scan under way the last one on all ranks; callable from any thread.
  void request_stop() noexcept { stop_requested_.store(true, std::memory_order_relaxed); }
  /// Whether a rank asked to stop, as all ranks know after a scan.
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }
  /// Scans done in this round; callable from any thread.
  [[nodiscard]] std::size_t n_scans_done() const noexcept {
    return n_scans_done_.load(std::memory_order_relaxed);
  }

  /// Replica to chain, shape (n_chains,); set it to go back to the start of a round.
  [[nodiscard]] std::vector<std::uint32_t> chains() const;
  void set_chains(std::span<const std::uint32_t> chains);

  /// Of the round, shape (n_chains,).
  [[nodiscard]] std::span<const double> betas() const noexcept { return betas_; }

  [[nodiscard]] const CoordinatorSettings& settings() const noexcept { return settings_; }

 private:
  /// What a rank sends per scan: its signal, then per own replica log gamma_0, V and statistics.
  enum class Signal : std::uint8_t { go_on, stop, failed };
  [[nodiscard]] std::size_t row_width() const noexcept { return 2 + settings_.n_statistics; }
  [[nodiscard]] const double* row_of(Replica replica) const noexcept;

  template <class Real>
  void hand_in(std::size_t worker, const Explored<Real>& explored) noexcept;
  /// Records and swaps one scan with all other workers, then calls `then`.
  template <class Real, class Then>
  [[nodiscard]] bool take(std::size_t worker, const Explored<Real>& explored,
                          const Then& then) noexcept;
  template <class Real>
  [[nodiscard]] bool take(std::size_t worker, const Explored<Real>& explored) noexcept;
  void meet() noexcept;
  void exchange();
  void record();
  void swap();
  /// The randomness of a replica, the proposals of a chain and the uniform of a pair in scan number
  /// `scan` (from 1): `place` is the row of the arrays that they go to.
  template <class Real>
  void draw_noise(std::uint64_t scan, Replica replica, std::size_t place,
                  const ScanNoise<Real>& noise) const;
  template <class Real>
  void propose(std::uint64_t scan, Chain chain, std::size_t place,
               const ScanNoise<Real>& noise) const;
  [[nodiscard]] double log_swap_uniform(std::uint64_t scan, Chain lower) const;
  void require_alone(const char* what) const;
  /// Fails where the swaps of the scan just taken led to other chains, by replica, than these.
  void check_chains(std::span<const std::int32_t> chains);
  [[noreturn]] void leave_no_way_on(const char* what, Replica replica, Chain chain) const;

  CoordinatorSettings settings_;
  std::shared_ptr<Communicator> ranks_;
  Block own_;                  // replicas of this rank
  std::vector<Block> blocks_;  // replicas by worker
  Rendezvous rendezvous_;
  std::vector<double> own_rows_, all_rows_;  // messages of a scan
  std::vector<std::size_t> places_;          // of each replica's row in all_rows_

  std::vector<double> betas_;
  IndexProcess index_process_;
  RoundTrips round_trips_;
  Visits visits_;
  std::vector<Proposals> proposals_;
  std::shared_ptr<RoundData> data_;
  std::vector<double> log_ratios_, log_uniforms_;  // by the lower chain of a pair
  std::vector<Chain> explored_chains_;             // by replica, in the scan just recorded
  std::size_t n_scans_{}, scan_{};
  std::size_t block_end_{}, reference_shift_{};  // reference draw = scan + shift, modulo 2^64
  std::size_t n_draws_taken_{};                  // scans whose draws were given up
  bool goes_on_{}, stopped_{}, failed_{};        // agreed by all ranks in the last scan
  std::atomic<bool> stop_requested_{false}, worker_failed_{false};
  std::atomic<std::size_t> n_scans_done_{0};
  std::exception_ptr error_;                      // of the rank
  std::vector<std::exception_ptr> worker_error_;  // by worker
};

}  // namespace numpygeons
