/// Tells whether the other ranks on this machine still run.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace numpygeons {

/// A process as the ranks of its run know it; plain bytes, so that it can be sent.
struct Peer {
  std::uint64_t machine{};  ///< this boot of this machine, and this view of its processes
  std::int64_t pid{};       ///< in that view
  std::uint64_t started{};  ///< ticks after the boot, so that a pid used again is seen; 0: unknown
  std::array<char, 64> host{};  ///< its name, for messages; ends with 0

  /// "rank 2 (process 4711 on node7)".
  [[nodiscard]] std::string name(std::size_t rank) const;
};

[[nodiscard]] Peer this_process();

/// False where `peer` ran on this machine and is gone, a zombie included. True where one cannot
/// know: a process of another machine.
[[nodiscard]] bool may_be_alive(const Peer& peer, const Peer& self);

}  // namespace numpygeons
