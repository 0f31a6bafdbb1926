/// Is the communicator of a run in one process.
#pragma once

#include <algorithm>

#include "numpygeons/comm/communicator.hpp"

namespace numpygeons {

class LocalCommunicator final : public Communicator {
 public:
  [[nodiscard]] std::size_t rank() const noexcept override { return 0; }
  [[nodiscard]] std::size_t size() const noexcept override { return 1; }
  void allgather(std::span<const std::byte> own, std::span<std::byte> all) override {
    std::ranges::copy(own, all.begin());
  }
};

}  // namespace numpygeons
