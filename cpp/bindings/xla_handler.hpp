/// Gives the XLA custom calls that let a compiled program run scans of a coordinator.
#pragma once

#include <pybind11/pybind11.h>

#include <utility>

namespace numpygeons::bindings {

/// Capsules of the handlers for the model's number type, to be registered with `jax.ffi`.
[[nodiscard]] pybind11::capsule xla_prepare_handler_f32();
[[nodiscard]] pybind11::capsule xla_prepare_handler_f64();
[[nodiscard]] pybind11::capsule xla_scan_handler_f32();
[[nodiscard]] pybind11::capsule xla_scan_handler_f64();

/// Major and minor version of XLA's foreign function interface that the handlers were built for. A
/// jaxlib with an older one refuses them when its CPU backend starts, and has no backend then.
[[nodiscard]] std::pair<int, int> xla_interface_version();

}  // namespace numpygeons::bindings
