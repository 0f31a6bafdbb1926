/// Turns the core's arrays of scans into named tuples of NumPy arrays, and back.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "arrays.hpp"
#include "numpygeons/engine/scan_arrays.hpp"

namespace numpygeons::bindings {

/// The Python class for `Arrays`, a named tuple with its fields; `bind_named_tuple` makes it, for
/// as long as Python lives.
template <template <class> class Arrays>
inline pybind11::handle named_tuple;

template <template <class> class Arrays>
void bind_named_tuple(pybind11::module_& module, const char* name, const char* doc) {
  pybind11::list names;
  for_each_field<Arrays<double>>([&](const auto& field) { names.append(field.name); });
  const pybind11::object type =
      pybind11::module_::import("collections")
          .attr("namedtuple")(name, names, pybind11::arg("module") = module.attr("__name__"));
  type.attr("__doc__") = doc;
  module.attr(name) = type;
  named_tuple<Arrays> = type.inc_ref();
}

/// The shape of a field's array, whose rows have the shape `rows`.
template <class Field>
std::vector<pybind11::ssize_t> shape_of(const Field& field, const CoordinatorSettings& settings,
                                        const std::vector<std::size_t>& rows) {
  const RowShape row = field.row(settings);
  std::vector<pybind11::ssize_t> shape;
  if (field.by_row) shape.assign(rows.begin(), rows.end());
  shape.insert(shape.end(), row.extents().begin(), row.extents().end());
  return shape;
}

/// A named tuple with what `function` makes of each field.
template <template <class> class Arrays, class Real, class Function>
pybind11::object made_of_fields(const Function& function) {
  pybind11::list made;
  for_each_field<Arrays<Real>>([&](const auto& field) { made.append(function(field)); });
  return named_tuple<Arrays>(*made);
}

/// New arrays, whose numbers are whatever memory held; their spans, and the named tuple of them.
template <template <class> class Arrays, class Real>
struct NewArrays {
  NewArrays(const CoordinatorSettings& settings, const std::vector<std::size_t>& rows)
      : tuple(made_of_fields<Arrays, Real>([&](const auto& field) {
          using T = typename std::remove_cvref_t<decltype(field)>::Element;
          pybind11::array_t<T> array(shape_of(field, settings, rows));
          spans.*field.array = {array.mutable_data(), static_cast<std::size_t>(array.size())};
          return array;
        })) {}

  Arrays<Real> spans;
  pybind11::object tuple;
};

/// Arrays that come in, in the order of the fields, converted where their types differ.
template <template <class> class Arrays, class Real>
class ArraysIn {
 public:
  ArraysIn() = default;  ///< of no numbers
  explicit ArraysIn(const pybind11::sequence& arrays) {
    std::size_t k = 0;
    for_each_field<Arrays<Real>>(
        [&]<class T>(const auto&, ArrayIn<T>& array) {
          array = pybind11::cast<ArrayIn<T>>(pybind11::object(arrays[k++]));
        },
        arrays_);
  }

  [[nodiscard]] Arrays<Real> spans() const {
    Arrays<Real> spans;
    for_each_field<Arrays<Real>>(
        [&](const auto& field, const auto& array) { spans.*field.array = as_span(array); },
        arrays_);
    return spans;
  }

 private:
  TupleOf<Arrays<Real>, ArrayIn> arrays_;
};

}  // namespace numpygeons::bindings
