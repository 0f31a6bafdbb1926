/// Does everything between two explorations: records, swaps, and hands out the next randomness.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <vector>

#include "numpygeons/engine/proposals.hpp"
#include "numpygeons/engine/round_data.hpp"
#include "numpygeons/tempering/index_process.hpp"
#include "numpygeons/tempering/round_trips.hpp"
#include "numpygeons/tempering/schedule.hpp"

namespace numpygeons {

/// What stays the same for a whole run. The noise counts are per replica and scan.
struct CoordinatorSettings {
  std::uint64_t seed{1};
  std::size_t n_chains{};      ///< also the number of replicas
  std::size_t dimension{};     ///< unconstrained coordinates
  std::size_t n_normals{};     ///< standard normals that the explorer asks for
  std::size_t n_uniforms{};    ///< uniforms in (0, 1) that the explorer asks for
  std::size_t n_statistics{};  ///< numbers that the explorer reports
  bool hands_out_keys{};       ///< the explorer asks for a JAX key
  std::size_t n_proposals{};   ///< draws from fitted mixtures that the explorer asks for, at most
  std::size_t n_snapshots{};   ///< states kept per chain and round, at most
  bool records_draws{true};    ///< keep the target's states
  bool records_moments{true};  ///< keep first and second moments per chain
};

/// States of the target, one per scan.
struct Draws {
  std::vector<std::byte> x;           ///< (n, dimension), unconstrained, in the model's number type
  std::vector<double> log_reference;  ///< (n,), log gamma_0
};

/// What the explorers of one scan hand in; rows by replica.
template <class Real>
struct Explored {
  std::span<const Real> x;              ///< (n_chains, dimension), unconstrained
  std::span<const Real> log_reference;  ///< (n_chains,), log gamma_0
  std::span<const Real> v;              ///< (n_chains,), V; NaN is read as -inf
  std::span<const Real> statistics;     ///< (n_chains, n_statistics)
};

/// What the explorers of the next scan need; rows by replica.
template <class Real>
struct NextScan {
  std::span<std::int32_t> chains;  ///< (n_chains,)
  std::span<Real> normals;         ///< (n_chains, n_normals)
  std::span<Real> uniforms;        ///< (n_chains, n_uniforms)
  std::span<std::uint32_t> keys;   ///< (n_chains, 2), raw JAX keys; empty unless asked for
  /// Draws of the chain's mixtures (proposals.hpp): those of each table in turn.
  std::span<Real> proposals;                    ///< (n_chains, n_proposals, dimension)
  std::span<Real> proposal_logs;                ///< (n_chains, n_proposals, 2)
  std::span<std::int32_t> proposal_components;  ///< (n_chains, n_proposals)
};

/// Owns the index process and the recorders of a run.
///
/// Every random number is a function of (seed, purpose, replica, round, scan), so the order of
/// calls and the number of workers do not show in the results. A scan that fails keeps its error
/// for `rethrow`, because the caller may be a compiled program that cannot carry it.
class Coordinator {
 public:
  /// Replica r starts at chain r. Throws std::invalid_argument when n_chains or dimension is 0.
  explicit Coordinator(const CoordinatorSettings& settings);

  /// Starts round `round` (1-based) with empty recorders; scans count from 1 again.
  /// `centre` and `scale`, (n_chains, dimension), give ExactMoments its units; both empty when
  /// moments are not recorded. `real_bytes` is the size of the model's number type, `most_draws`
  /// the number of scans between two calls of `take_draws`.
  void begin_round(std::uint32_t round, std::size_t n_scans, const Schedule& schedule,
                   std::span<const double> centre, std::span<const double> scale,
                   std::size_t real_bytes, std::size_t most_draws);

  /// Sets what the chains propose from until it is set again: one table or more, whose `n_most` sum
  /// to `n_proposals`. Throws std::invalid_argument when they do not fit the settings.
  void set_proposals(std::vector<Proposals> tables);

  /// Fills in the chains and the randomness of the scan to come.
  template <class Real>
  void prepare(const NextScan<Real>& next) const;

  /// Records and swaps one scan, then prepares the next one. False when the exploration should
  /// stop: an error (see `rethrow`), a request to stop, or the last scan of the round.
  template <class Real>
  [[nodiscard]] bool scan(const Explored<Real>& explored, const NextScan<Real>& next) noexcept;

  /// Gives up the target's states recorded since the last call, in scan order.
  [[nodiscard]] Draws take_draws();

  /// Throws the error of a failed scan, if there was one.
  void rethrow() const;

  /// Ends a complete round and gives up its records. Throws std::logic_error before the last scan.
  [[nodiscard]] std::shared_ptr<RoundData> end_round();

  /// Makes the scan under way the last one; callable from any thread.
  void request_stop() noexcept { stop_requested_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool stop_requested() const noexcept {
    return stop_requested_.load(std::memory_order_relaxed);
  }
  /// Scans done in this round; callable from any thread.
  [[nodiscard]] std::size_t n_scans_done() const noexcept {
    return n_scans_done_.load(std::memory_order_relaxed);
  }

  /// Replica to chain, shape (n_chains,); set it to go back to the start of a round.
  [[nodiscard]] std::vector<std::uint32_t> chains() const;
  void set_chains(std::span<const std::uint32_t> chains);

  [[nodiscard]] const CoordinatorSettings& settings() const noexcept { return settings_; }

 private:
  template <class Real>
  void record(const Explored<Real>& explored);
  template <class Real>
  void propose(Replica replica, Chain chain, const NextScan<Real>& next) const;
  void swap();
  [[noreturn]] void fail(const char* what, Replica replica, Chain chain) const;

  CoordinatorSettings settings_;
  std::vector<double> betas_;
  IndexProcess index_process_;
  RoundTrips round_trips_;
  std::vector<ExactMoments> moments_;  // by chain
  std::vector<Proposals> proposals_;
  std::shared_ptr<RoundData> data_;
  std::vector<double> acceptances_, uniforms_;  // by the lower chain of a pair
  std::size_t n_scans_{}, scan_{};
  std::size_t real_bytes_{}, most_draws_{};
  Draws draws_;
  std::atomic<bool> stop_requested_{false};
  std::atomic<std::size_t> n_scans_done_{0};
  std::exception_ptr error_;
};

}  // namespace numpygeons
