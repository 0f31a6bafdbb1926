/// Gathers the bindings of each layer in the module `numpygeons._core`.
#include <pybind11/pybind11.h>

#include "bind.hpp"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The compiled core of numpygeons.";
  numpygeons::bindings::bind_math(module);
  numpygeons::bindings::bind_random(module);
  numpygeons::bindings::bind_tempering(module);
  numpygeons::bindings::bind_evidence(module);
  numpygeons::bindings::bind_tuning(module);
  numpygeons::bindings::bind_comm(module);
  numpygeons::bindings::bind_engine(module);
}
