/// Converts between NumPy arrays and the core's spans and vectors.
#pragma once

#include <pybind11/numpy.h>

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace numpygeons::bindings {

/// Arrays that come in: contiguous, converted where they are not.
template <class T>
using ArrayIn = pybind11::array_t<T, pybind11::array::c_style | pybind11::array::forcecast>;

template <class T>
std::span<const T> as_span(const ArrayIn<T>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

using Doubles = ArrayIn<double>;

inline pybind11::ssize_t size(std::size_t n) { return static_cast<pybind11::ssize_t>(n); }

/// A new vector with a copy of `values`.
template <class T>
pybind11::array_t<T> copied(std::span<const T> values) {
  return pybind11::array_t<T>(size(values.size()), values.data());
}
template <class T>
pybind11::array_t<T> copied(const std::vector<T>& values) {
  return copied(std::span(values));
}

/// A new array of the given shape with a copy of `values`.
template <class T>
pybind11::array_t<T> copied(const std::vector<T>& values, std::vector<pybind11::ssize_t> shape) {
  return pybind11::array_t<T>(std::move(shape), values.data());
}

/// An array of the given shape on memory that `owner` keeps alive; read-only.
template <class T, class Owner>
pybind11::array_t<T> shared(const T* data, std::vector<pybind11::ssize_t> shape,
                            const std::shared_ptr<Owner>& owner) {
  const pybind11::capsule keep(new std::shared_ptr<Owner>(owner),
                               [](void* p) { delete static_cast<std::shared_ptr<Owner>*>(p); });
  pybind11::array_t<T> array(std::move(shape), data, keep);
  array.attr("setflags")(pybind11::arg("write") = false);
  return array;
}

}  // namespace numpygeons::bindings
