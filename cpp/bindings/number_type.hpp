/// Takes a dtype from Python to the C++ type of the model's numbers, in one place.
#pragma once

#include <pybind11/numpy.h>

#include <stdexcept>
#include <string>
#include <type_traits>

namespace numpygeons::bindings {

/// Calls `function` with `std::type_identity` of float or double. Throws std::invalid_argument for
/// any other dtype.
template <class Function>
auto with_number_type(const pybind11::dtype& dtype, const Function& function) {
  if (dtype.equal(pybind11::dtype::of<double>())) return function(std::type_identity<double>{});
  if (dtype.equal(pybind11::dtype::of<float>())) return function(std::type_identity<float>{});
  throw std::invalid_argument("the model's numbers must be float32 or float64: got " +
                              std::string(pybind11::str(dtype)));
}

/// The same for whatever names a dtype.
template <class Function>
auto with_number_type(const pybind11::object& dtype, const Function& function) {
  return with_number_type(pybind11::dtype::from_args(dtype), function);
}

}  // namespace numpygeons::bindings
