/// Joins ranks by an MPI that is bound at run time: the core links none and includes no header.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "numpygeons/comm/communicator.hpp"
#include "numpygeons/comm/peers.hpp"

namespace numpygeons {

/// Addresses of the functions that are called, by their names without MPI_. In Python mpi4py has
/// loaded the MPI of mpirun, and they are looked up there.
struct MpiFunctions {
  void *comm_rank{}, *comm_size{}, *iallgather{}, *ibcast{}, *isend{}, *iprobe{}, *test{},
      *error_string{};
};

/// What a handle is differs between MPIs: an int (MPICH and its kin) or a pointer (Open MPI, and
/// the standard ABI of MPI 5): 4 bytes or 8. As numbers they look alike, so one template serves
/// both, and one build every MPI.
struct MpiHandles {
  std::uint64_t communicator{};  ///< that nobody else uses; its errors must be returned
  std::uint64_t byte{};          ///< MPI_BYTE
  std::size_t n_bytes{};         ///< sizeof(MPI_Comm)
};

/// The functions in a library that this process has loaded, or in those it depends on.
/// Throws std::invalid_argument where `library` is not loaded or has no MPI in it.
[[nodiscard]] MpiFunctions mpi_functions(const std::string& library);

class MpiCommunicator : public Communicator {
 public:
  /// Copies the bytes of `root` to all ranks; every rank brings as many.
  virtual void broadcast(std::span<std::byte> bytes, std::size_t root) = 0;

  /// Tells the others that this rank takes part no longer, without waiting for them: who waits for
  /// it, or will, gets a CommunicationError. For the end of a process, good or bad.
  virtual void leave() = 0;

  /// The processes, by rank.
  [[nodiscard]] virtual std::span<const Peer> peers() const noexcept = 0;

  /// Why no more can be said, or empty. After an error a message may be half sent.
  [[nodiscard]] virtual const std::string& broken() const noexcept = 0;
};

/// Every rank calls it. `while_waiting` is called some times per second while a rank waits for
/// others, and may throw.
///
/// A rank that waits notices when another is gone: one on its own machine because the process is no
/// more, any because it sent its farewell, which it does at exit. A wait polls, and looks some
/// times a second. Who notices throws a CommunicationError, and ends all ranks at its own exit,
/// because MPI's end would wait for the lost one. Where a whole machine is lost it is up to MPI and
/// its launcher.
[[nodiscard]] std::shared_ptr<MpiCommunicator> mpi_communicator(
    const MpiFunctions& functions, const MpiHandles& handles,
    std::function<void()> while_waiting = {});

}  // namespace numpygeons
