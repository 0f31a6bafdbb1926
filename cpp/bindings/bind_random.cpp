/// Binds the layer random: convert, call, convert.
#include <pybind11/pybind11.h>

#include "bind.hpp"

namespace numpygeons::bindings {

void bind_random(pybind11::module_&) {}

}  // namespace numpygeons::bindings
