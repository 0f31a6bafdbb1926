/// Names the errors of the core that are not bad arguments.
#pragma once

#include <stdexcept>

namespace numpygeons {

/// Numbers leave no way on: a log ratio of +inf, no finite state for a chain with beta > 0.
/// The message names replica, chain, beta and scan.
struct NumericalError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What was computed twice came out differently. The message names round, scan and replica.
struct ReproducibilityError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Another rank is gone, or MPI reports an error. The message names rank, process and host.
struct CommunicationError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace numpygeons
