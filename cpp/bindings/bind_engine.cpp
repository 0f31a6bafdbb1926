/// Binds the layer engine: convert, call, convert.
#include <pybind11/pybind11.h>

#include "bind.hpp"

namespace numpygeons::bindings {

void bind_engine(pybind11::module_&) {}

}  // namespace numpygeons::bindings
