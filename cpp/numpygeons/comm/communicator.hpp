/// States what ranks say to each other during a scan: one gathering of a few bytes.
#pragma once

#include <cstddef>
#include <span>

namespace numpygeons {

/// Joins the processes ("ranks") of one run. Every rank must make the same calls in the same order,
/// each from one thread at a time.
class Communicator {
 public:
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;
  virtual ~Communicator() = default;

  [[nodiscard]] virtual std::size_t rank() const noexcept = 0;  ///< in [0, size())
  [[nodiscard]] virtual std::size_t size() const noexcept = 0;

  /// Gathers the blocks of all ranks in order of rank; blocks until every rank has called it.
  /// `own` has the same length on every rank, `all` holds size() times as many. Throws
  /// CommunicationError when another rank is gone.
  virtual void allgather(std::span<const std::byte> own, std::span<std::byte> all) = 0;
};

}  // namespace numpygeons
