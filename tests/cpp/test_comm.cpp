/// Checks how indices are split, what one process says to itself, and whom it takes to be alive.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <span>
#include <stdexcept>
#include <string>

#include "numpygeons/comm/local.hpp"
#include "numpygeons/comm/mpi.hpp"
#include "numpygeons/comm/partition.hpp"
#include "numpygeons/comm/peers.hpp"

using namespace numpygeons;

TEST_CASE("blocks follow one another, cover all, and differ by at most one") {
  for (std::size_t n = 0; n <= 40; ++n) {
    for (std::size_t n_parts = 1; n_parts <= 45; ++n_parts) {
      std::size_t next = 0, previous = largest_block(n, n_parts);
      CHECK(block_of(n, n_parts, 0).count == largest_block(n, n_parts));
      for (std::size_t part = 0; part < n_parts; ++part) {
        const Block block = block_of(n, n_parts, part);
        CHECK(block.first == next);
        CHECK(block.count <= previous);
        CHECK(block.count + 1 >= largest_block(n, n_parts));
        for (std::size_t i = 0; i < block.count; ++i) {
          CHECK(part_of(block.first + i, n, n_parts) == part);
        }
        next += block.count;
        previous = block.count;
      }
      CHECK(next == n);
    }
  }
}

TEST_CASE("one process gathers its own block") {
  LocalCommunicator local;
  CHECK(local.rank() == 0);
  CHECK(local.size() == 1);
  const std::array<double, 3> own{1, 2, 3};
  std::array<double, 3> all{};
  local.allgather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
  CHECK(all == own);
}

TEST_CASE("a process is alive until it ends, a zombie or reaped") {
  const Peer self = this_process();
  CHECK(may_be_alive(self, self));
  CHECK(self.started > 0);
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Peer peer = this_process();
    const bool written = ::write(pipe[1], &peer, sizeof peer) == sizeof peer;
    while (written) ::pause();
    ::_exit(1);
  }
  Peer peer;
  REQUIRE(::read(pipe[0], &peer, sizeof peer) == sizeof peer);
  CHECK(peer.pid == child);
  CHECK(may_be_alive(peer, self));
  Peer earlier = peer;  // had the same number, and is gone
  earlier.started -= 1;
  CHECK_FALSE(may_be_alive(earlier, self));

  ::kill(child, SIGKILL);
  siginfo_t ended;
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) == 0);
  CHECK_FALSE(may_be_alive(peer, self));  // a zombie
  ::waitpid(child, nullptr, 0);
  CHECK_FALSE(may_be_alive(peer, self));

  peer.machine += 1;  // of another machine nothing is known
  CHECK(may_be_alive(peer, self));
  CHECK(peer.name(3) ==
        "rank 3 (process " + std::to_string(child) + " on " + peer.host.data() + ")");
}

TEST_CASE("a library without MPI is refused by name") {
  CHECK_THROWS_WITH_AS((void)mpi_functions("libnothing.so.7"),
                       doctest::Contains("libnothing.so.7 must be loaded"), std::invalid_argument);
  CHECK_THROWS_WITH_AS((void)mpi_functions("libc.so.6"), doctest::Contains("has no MPI_Comm_rank"),
                       std::invalid_argument);
  CHECK_THROWS_WITH_AS((void)mpi_communicator({}, {.n_bytes = 2}),
                       doctest::Contains("4 or 8 bytes: got 2"), std::invalid_argument);
}
