/// Does everything between two explorations: records, swaps, and hands out the next randomness.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "numpygeons/base/indices.hpp"
#include "numpygeons/comm/communicator.hpp"
#include "numpygeons/comm/partition.hpp"
#include "numpygeons/comm/rendezvous.hpp"
#include "numpygeons/engine/coordinator_settings.hpp"
#include "numpygeons/engine/exchange.hpp"
#include "numpygeons/engine/randomness.hpp"
#include "numpygeons/engine/recorder.hpp"
#include "numpygeons/engine/round_data.hpp"
#include "numpygeons/engine/scan_arrays.hpp"
#include "numpygeons/engine/unfinished_round.hpp"
#include "numpygeons/tempering/index_process.hpp"
#include "numpygeons/tempering/schedule.hpp"

namespace numpygeons {

/// Owns the index process of a run and keeps the order of a scan: what the replicas have found is
/// gathered (Exchange) and recorded (Recorder), pairs swap, and the next scan gets its randomness
/// (Randomness).
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

  [[nodiscard]] const CoordinatorSettings& settings() const noexcept { return settings_; }
  [[nodiscard]] const Randomness& randomness() const noexcept { return randomness_; }
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
  /// Recorder::begin_round. Throws std::invalid_argument when a shape does not fit the settings.
  void begin_round(std::uint32_t round, std::size_t n_scans, const Schedule& schedule,
                   std::span<const double> centre, std::span<const double> scale,
                   std::size_t real_bytes, std::size_t most_draws);

  /// As Randomness::set_proposals.
  void set_proposals(std::vector<Proposals> tables) {
    randomness_.set_proposals(std::move(tables));
  }

  /// Says that the next `n_scans` scans take their exact draws of the reference from one batch,
  /// from its draw `first` on.
  void begin_block(std::size_t n_scans, std::size_t first);

  /// Throws std::invalid_argument unless there is such a worker, std::logic_error unless a round
  /// has begun. `prepare` and `scan`, which are called in every scan, trust their callers.
  void require_scan(std::size_t worker) const;
  /// Throws std::logic_error unless a round has begun, and there is one worker of one rank.
  void require_alone(const char* what) const;

  /// Fills in the chains and the randomness of a worker's scan to come.
  template <class Real>
  void prepare(std::size_t worker, const NextScan<Real>& next) const;

  /// Records and swaps one scan with all other workers. False when the exploration should stop: an
  /// error (see `rethrow`), a request to stop on any rank, or the last scan of the block.
  template <class Real>
  [[nodiscard]] bool take(std::size_t worker, const Explored<Real>& explored) noexcept;

  /// `take`, then `prepare`.
  template <class Real>
  [[nodiscard]] bool scan(std::size_t worker, const Explored<Real>& explored,
                          const NextScan<Real>& next) noexcept;

  /// In place of `scan`: this worker's exploration failed. All workers of all ranks stop. Does
  /// nothing after the block's last scan.
  void fail(std::size_t worker) noexcept;
  /// After a scan of a coordinator that is alone: it was not what it should be.
  void refuse(std::exception_ptr error) noexcept;

  /// Whether the block has scans to come, and how many it had when nothing stopped it.
  [[nodiscard]] bool goes_on() const noexcept { return goes_on_; }
  [[nodiscard]] std::size_t n_scans_to_come() const noexcept {
    return block_end_ - std::min(recorder_.n_done(), block_end_);
  }
  /// Whether the last scan failed, on any rank; with an error of its own (`rethrow`) or that of an
  /// exploration, which stays with the worker that called `fail`.
  [[nodiscard]] bool failed() const noexcept { return failed_; }
  /// Whether neither the last scan failed nor one of this rank's workers, as the next scan will
  /// say.
  [[nodiscard]] bool is_sound() const noexcept { return !failed_ && !worker_failed_; }
  /// Throws the error of a failed scan, if there was one.
  void rethrow() const;

  /// Makes the scan under way the last one on all ranks; callable from any thread.
  void request_stop() noexcept { stop_requested_.store(true, std::memory_order_relaxed); }
  /// Whether a rank asked to stop, as all ranks know after a scan.
  [[nodiscard]] bool stopped() const noexcept { return stopped_; }

  /// Of the round under way.
  [[nodiscard]] std::uint32_t round() const noexcept { return recorder_.round(); }
  [[nodiscard]] std::size_t n_scans() const noexcept { return recorder_.n_scans(); }
  [[nodiscard]] std::span<const double> betas() const noexcept { return betas_; }  ///< (n_chains,)
  /// Scans done in this round; callable from any thread.
  [[nodiscard]] std::size_t n_scans_done() const noexcept {
    return n_scans_done_.load(std::memory_order_relaxed);
  }

  /// As Recorder::take_draws and Recorder::take_own_draws.
  [[nodiscard]] Draws take_draws() { return recorder_.take_draws(*ranks_); }
  [[nodiscard]] OwnDraws take_own_draws() { return recorder_.take_own_draws(); }

  /// The scans of the round so far; its draws must have been taken.
  [[nodiscard]] UnfinishedRound unfinished() const;
  /// Goes on, right after `begin_round`, with a round that `unfinished` has described, whatever the
  /// number of ranks and workers was then. Throws std::invalid_argument when a length does not fit.
  void resume(const UnfinishedRound& so_far);

  /// Ends a complete round and gives up its records. Throws std::logic_error before the last scan.
  [[nodiscard]] std::shared_ptr<RoundData> end_round() { return recorder_.end_round(*ranks_); }

  [[nodiscard]] const IndexProcess& index_process() const noexcept { return index_process_; }
  /// Replica to chain, shape (n_chains,); set it to go back to the start of a round.
  [[nodiscard]] std::vector<std::uint32_t> chains() const;
  void set_chains(std::span<const std::uint32_t> chains);

 private:
  /// `take`, then calls `then`.
  template <class Real, class Then>
  [[nodiscard]] bool take(std::size_t worker, const Explored<Real>& explored,
                          const Then& then) noexcept;
  void meet() noexcept;
  void exchange();
  void swap();
  [[nodiscard]] IndexProcess index_process_of(std::span<const std::uint32_t> chains) const;

  CoordinatorSettings settings_;
  std::shared_ptr<Communicator> ranks_;
  Exchange exchange_;
  std::vector<Block> blocks_;  // replicas by worker
  Rendezvous rendezvous_;
  Randomness randomness_;
  Recorder recorder_;
  IndexProcess index_process_;

  std::vector<double> betas_;
  std::vector<double> log_ratios_, log_uniforms_;  // by the lower chain of a pair
  std::vector<Chain> explored_chains_;             // by replica, in the scan just recorded
  std::size_t block_end_{}, reference_shift_{};    // reference draw = scan + shift, modulo 2^64
  bool goes_on_{}, stopped_{}, failed_{};          // agreed by all ranks in the last scan
  std::atomic<bool> stop_requested_{false}, worker_failed_{false};
  std::atomic<std::size_t> n_scans_done_{0};
  std::exception_ptr error_;                      // of the rank
  std::vector<std::exception_ptr> worker_error_;  // by worker
};

}  // namespace numpygeons
