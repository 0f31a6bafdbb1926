/// Lets the threads of one process meet once per scan.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace numpygeons {

/// A barrier at which the last thread to come does some work before all go on.
class Rendezvous {
 public:
  explicit Rendezvous(std::size_t n_threads) noexcept : n_threads_(n_threads) {}

  /// Blocks until all threads are here; the last one runs `between`, whose effects all see. What
  /// the threads wrote before coming, `between` sees. `between` must not throw.
  template <class Between>
  void meet(Between&& between) noexcept {
    if (n_threads_ == 1) {
      between();
      return;
    }
    const std::uint32_t meeting = meeting_.load(std::memory_order_acquire);
    if (n_here_.fetch_add(1, std::memory_order_acq_rel) + 1 == n_threads_) {
      n_here_.store(0, std::memory_order_relaxed);
      between();
      meeting_.store(meeting + 1, std::memory_order_release);
      meeting_.notify_all();
      return;
    }
    // Short waits are the rule where threads have cores of their own; else give the core away. A
    // sleeping thread takes as long to wake as a gradient takes, so sleep only after a long wait.
    for (int turn = 0; turn < n_spins; ++turn)
      if (meeting_.load(std::memory_order_acquire) != meeting) return;
    const auto end = std::chrono::steady_clock::now() + yields_for;
    while (std::chrono::steady_clock::now() < end) {
      if (meeting_.load(std::memory_order_acquire) != meeting) return;
      std::this_thread::yield();
    }
    while (meeting_.load(std::memory_order_acquire) == meeting) meeting_.wait(meeting);
  }

 private:
  static constexpr int n_spins = 4096;
  static constexpr std::chrono::milliseconds yields_for{2};

  std::size_t n_threads_;
  std::atomic<std::size_t> n_here_{0};
  std::atomic<std::uint32_t> meeting_{0};  // number of meetings so far
};

}  // namespace numpygeons
