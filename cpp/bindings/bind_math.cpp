/// Binds the layer math: convert, call, convert.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <stdexcept>
#include <string>

#include "arrays.hpp"
#include "bind.hpp"
#include "numpygeons/math/monotone_cubic.hpp"
#include "numpygeons/math/normal_distribution.hpp"
#include "numpygeons/math/normal_mixture.hpp"
#include "numpygeons/math/portable_log.hpp"

namespace numpygeons::bindings {

namespace py = pybind11;
using py::literals::operator""_a;

namespace {

void bind_functions(py::module_& math) {
  math.def("portable_log", py::vectorize(&portable_log), "x"_a,
           "log(x), the same bits on every platform.");
  math.def("normal_cdf", py::vectorize(&normal_cdf), "x"_a, "P(X <= x), X from N(0, 1).");
  math.def("normal_quantile", py::vectorize(&normal_quantile), "p"_a, "The inverse of normal_cdf.");
  math.def("erf_inverse", py::vectorize(&erf_inverse), "x"_a, "The inverse of erf.");
  math.def("erfc_inverse", py::vectorize(&erfc_inverse), "q"_a, "The inverse of erfc.");
}

void bind_monotone_cubic(py::module_& math) {
  math.def(
      "monotone_cubic",
      [](const Doubles& x, const Doubles& y, const Doubles& at) {
        const MonotoneCubic curve(as_span(x), as_span(y));
        return py::vectorize([&](double where) { return curve.value(where); })(at);
      },
      "x"_a, "y"_a, "at"_a, "The monotone cubic through (x, y), evaluated.");
  math.def(
      "monotone_cubic_derivative",
      [](const Doubles& x, const Doubles& y, const Doubles& at) {
        const MonotoneCubic curve(as_span(x), as_span(y));
        return py::vectorize([&](double where) { return curve.derivative(where); })(at);
      },
      "x"_a, "y"_a, "at"_a, "The derivative of the monotone cubic through (x, y).");
}

void bind_normal_mixture(py::module_& math) {
  math.def(
      "fit_normal_mixture",
      [](const ArrayIn<double>& points, std::size_t n_components, std::size_t n_steps) {
        if (points.ndim() != 2)
          throw std::invalid_argument("points must have shape (n, dimension): got " +
                                      std::to_string(points.ndim()) + " axes");
        const auto dimension = static_cast<std::size_t>(points.shape(1));
        const NormalMixture m =
            fit_normal_mixture(as_span(points), dimension, n_components, n_steps);
        const py::ssize_t k = size(n_components), d = size(dimension);
        return py::make_tuple(copied(m.log_weights, {k}), copied(m.means, {k, d}),
                              copied(m.factors, {k, d, d}), copied(m.whiteners, {k, d, d}));
      },
      "points"_a, "n_components"_a, "n_steps"_a,
      "(log weights, means, factors, whiteners) of a mixture of normals fitted to points.");
}

}  // namespace

void bind_math(py::module_& module) {
  py::module_ math = module.def_submodule("math", "Pure functions that know nothing of tempering.");
  bind_functions(math);
  bind_monotone_cubic(math);
  bind_normal_mixture(math);
}

}  // namespace numpygeons::bindings
