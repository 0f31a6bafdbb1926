/// Binds the layer evidence: convert, call, convert.
#include <pybind11/pybind11.h>

#include "bind.hpp"

namespace numpygeons::bindings {

void bind_evidence(pybind11::module_&) {}

}  // namespace numpygeons::bindings
