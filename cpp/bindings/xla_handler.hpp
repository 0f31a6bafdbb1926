/// Gives the XLA custom calls that let a compiled program run scans of a coordinator.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

namespace numpygeons::bindings {

/// A capsule with the handler of each target, by the target's name: what it does, and the model's
/// number type, as in numpygeons_scan_float32.
[[nodiscard]] pybind11::dict registrations();

/// Major and minor version of XLA's foreign function interface that the handlers were built for. A
/// jaxlib with an older one refuses them when its CPU backend starts, and has no backend then.
[[nodiscard]] std::pair<int, int> xla_interface_version();

}  // namespace numpygeons::bindings
