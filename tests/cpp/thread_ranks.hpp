/// Plays the ranks of a run in threads of one process.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "numpygeons/comm/communicator.hpp"

namespace numpygeons {

/// Where the ranks leave their blocks for each other.
struct Table {
  explicit Table(std::size_t n) : blocks(n), meeting(static_cast<std::ptrdiff_t>(n)) {}
  std::vector<std::span<const std::byte>> blocks;
  std::barrier<> meeting;
};

class ThreadRank final : public Communicator {
 public:
  ThreadRank(std::shared_ptr<Table> table, std::size_t rank)
      : table_(std::move(table)), rank_(rank) {}

  [[nodiscard]] std::size_t rank() const noexcept override { return rank_; }
  [[nodiscard]] std::size_t size() const noexcept override { return table_->blocks.size(); }

  void allgather(std::span<const std::byte> own, std::span<std::byte> all) override {
    table_->blocks[rank_] = own;
    table_->meeting.arrive_and_wait();
    auto place = all.begin();
    for (const auto& block : table_->blocks) place = std::ranges::copy(block, place).out;
    table_->meeting.arrive_and_wait();  // before anybody changes what the others read
  }

 private:
  std::shared_ptr<Table> table_;
  std::size_t rank_;
};

/// Runs `work(k)` for all k below n, each in a thread of its own.
inline void in_threads(std::size_t n, const std::function<void(std::size_t)>& work) {
  std::vector<std::jthread> threads;
  for (std::size_t k = 0; k < n; ++k) threads.emplace_back(work, k);
}

}  // namespace numpygeons
