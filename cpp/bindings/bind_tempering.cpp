/// Binds the layer tempering: convert, call, convert.
#include <pybind11/pybind11.h>

#include "bind.hpp"

namespace numpygeons::bindings {

void bind_tempering(pybind11::module_&) {}

}  // namespace numpygeons::bindings
