/// Gives programs in C++ a communicator for their MPI_Comm; include it after their MPI's <mpi.h>.
#pragma once

#ifndef MPI_VERSION
#error "include <mpi.h> before this header"
#endif

#include <cstdint>
#include <cstring>
#include <memory>

#include "numpygeons/base/errors.hpp"
#include "numpygeons/comm/mpi.hpp"

namespace numpygeons {

/// The ranks of `comm`, which it duplicates: nobody else's messages interfere. Every rank calls it.
[[nodiscard]] inline std::shared_ptr<MpiCommunicator> mpi_communicator(MPI_Comm comm) {
  MPI_Comm own;
  if (MPI_Comm_dup(comm, &own) != MPI_SUCCESS) throw CommunicationError("MPI_Comm_dup failed");
  MPI_Comm_set_errhandler(own, MPI_ERRORS_RETURN);
  const auto number = [](auto handle) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &handle, sizeof handle);  // the low bytes: little-endian machines
    return bits;
  };
  return mpi_communicator(
      MpiFunctions{.comm_rank = reinterpret_cast<void*>(&MPI_Comm_rank),
                   .comm_size = reinterpret_cast<void*>(&MPI_Comm_size),
                   .iallgather = reinterpret_cast<void*>(&MPI_Iallgather),
                   .ibcast = reinterpret_cast<void*>(&MPI_Ibcast),
                   .isend = reinterpret_cast<void*>(&MPI_Isend),
                   .iprobe = reinterpret_cast<void*>(&MPI_Iprobe),
                   .test = reinterpret_cast<void*>(&MPI_Test),
                   .error_string = reinterpret_cast<void*>(&MPI_Error_string)},
      MpiHandles{.communicator = number(own), .byte = number(MPI_BYTE), .n_bytes = sizeof own});
}

}  // namespace numpygeons
