/// Binds the layer random: convert, call, convert.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "bind.hpp"
#include "numpygeons/base/counts.hpp"
#include "numpygeons/base/indices.hpp"
#include "numpygeons/random/philox.hpp"
#include "numpygeons/random/streams.hpp"
#include "numpygeons/random/ziggurat.hpp"

namespace numpygeons::bindings {
namespace {

namespace py = pybind11;

template <class Number>
std::span<Number> span_of(py::array_t<Number>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

template <class Number>
py::array_t<Number> uniforms(std::uint64_t seed, Purpose purpose, std::uint32_t replica,
                             std::uint32_t round, std::uint64_t scan, std::size_t n) {
  py::array_t<Number> out(static_cast<py::ssize_t>(n));
  Stream({seed, purpose, Replica{replica}, round, scan}).fill_uniforms(span_of(out));
  return out;
}

template <class Number>
py::array_t<Number> normals(std::uint64_t seed, Purpose purpose, std::uint32_t replica,
                            std::uint32_t round, std::uint64_t scan, std::size_t n) {
  py::array_t<Number> out(static_cast<py::ssize_t>(n));
  Stream({seed, purpose, Replica{replica}, round, scan}).fill_normals(span_of(out));
  return out;
}

py::array_t<std::uint64_t> words(std::uint64_t seed, Purpose purpose, std::uint32_t replica,
                                 std::uint32_t round, std::uint64_t scan, std::size_t n) {
  py::array_t<std::uint64_t> out(static_cast<py::ssize_t>(n));
  Stream stream({seed, purpose, Replica{replica}, round, scan});
  for (std::uint64_t& word : span_of(out)) word = stream.word();
  return out;
}

py::array_t<double> normals_in_fills(std::uint64_t seed, Purpose purpose, std::uint32_t replica,
                                     std::uint32_t round, std::uint64_t scan,
                                     const std::vector<std::size_t>& sizes) {
  std::size_t n = 0;
  for (const std::size_t size : sizes) {
    check_count("each size", size, 0, most_counted);
    n += size;
  }
  py::array_t<double> out(static_cast<py::ssize_t>(n));
  Stream stream({seed, purpose, Replica{replica}, round, scan});
  std::span<double> rest = span_of(out);
  for (const std::size_t size : sizes) {
    stream.fill_normals(rest.first(size));
    rest = rest.subspan(size);
  }
  return out;
}

}  // namespace

void bind_random(py::module_& module) {
  py::module_ random = module.def_submodule("random", "Random streams keyed by meaning.");

  py::enum_<Purpose>(random, "Purpose", "What random numbers are for.")
      .value("explore", Purpose::explore)
      .value("swap", Purpose::swap)
      .value("reference_draw", Purpose::reference_draw)
      .value("initial_state", Purpose::initial_state)
      .value("jax_key", Purpose::jax_key)
      .value("propose", Purpose::propose);

  random.def("philox4x32", &philox4x32, py::arg("counter"), py::arg("key"),
             "The Philox4x32-10 block of a counter of four 32-bit words under a key of two.");
  random.def("open_uniform", &open_uniform, py::arg("word"),
             "A word as a uniform in the open interval (0, 1).");
  random.def("open_uniform_float32", &open_uniform_float, py::arg("word"),
             "A word as a uniform that single precision holds, in the open interval (0, 1).");
  random.def("words", &words, py::arg("seed"), py::arg("purpose"), py::arg("replica"),
             py::arg("round"), py::arg("scan"), py::arg("n"),
             "The first n 64-bit words of a stream.");
  random.def("uniforms", &uniforms<double>, py::arg("seed"), py::arg("purpose"), py::arg("replica"),
             py::arg("round"), py::arg("scan"), py::arg("n"),
             "The first n uniforms of a stream, in the open interval (0, 1).");
  random.def("uniforms_float32", &uniforms<float>, py::arg("seed"), py::arg("purpose"),
             py::arg("replica"), py::arg("round"), py::arg("scan"), py::arg("n"),
             "The same in single precision, also strictly inside (0, 1).");
  random.def("normals", &normals<double>, py::arg("seed"), py::arg("purpose"), py::arg("replica"),
             py::arg("round"), py::arg("scan"), py::arg("n"),
             "The first n draws of N(0, 1) from a stream.");
  random.def("normals_float32", &normals<float>, py::arg("seed"), py::arg("purpose"),
             py::arg("replica"), py::arg("round"), py::arg("scan"), py::arg("n"),
             "The same draws, rounded to single precision.");
  random.def("normals_in_fills", &normals_in_fills, py::arg("seed"), py::arg("purpose"),
             py::arg("replica"), py::arg("round"), py::arg("scan"), py::arg("sizes"),
             "The same draws, made by fills of the given sizes.");
  random.def(
      "swap_uniform",
      [](std::uint64_t seed, std::uint32_t round, std::uint64_t scan, std::uint32_t lower) {
        return swap_uniform(seed, round, scan, Chain{lower});
      },
      py::arg("seed"), py::arg("round"), py::arg("scan"), py::arg("lower"),
      "The uniform that decides on the swap of the chains lower and lower + 1.");
  random.def(
      "jax_keys",
      [](std::uint64_t seed, Purpose purpose, std::uint32_t replica, std::uint32_t round,
         std::uint64_t first_scan, std::size_t n) {
        py::array_t<std::uint32_t> keys({n, std::size_t{2}});
        std::uint32_t* out = keys.mutable_data();
        for (std::size_t i = 0; i < n; ++i) {
          const auto key = jax_key({seed, purpose, Replica{replica}, round, first_scan + i});
          out = std::ranges::copy(key, out).out;
        }
        return keys;
      },
      py::arg("seed"), py::arg("purpose"), py::arg("replica"), py::arg("round"),
      py::arg("first_scan"), py::arg("n"), "The JAX keys of n consecutive scans, shape (n, 2).");
  random.def(
      "jax_key",
      [](std::uint64_t seed, Purpose purpose, std::uint32_t replica, std::uint32_t round,
         std::uint64_t scan) {
        const auto key = jax_key({seed, purpose, Replica{replica}, round, scan});
        py::array_t<std::uint32_t> out(2);
        out.mutable_at(0) = key[0];
        out.mutable_at(1) = key[1];
        return out;
      },
      py::arg("seed"), py::arg("purpose"), py::arg("replica"), py::arg("round"), py::arg("scan"),
      "The two words of a JAX key for this meaning.");
}

}  // namespace numpygeons::bindings
