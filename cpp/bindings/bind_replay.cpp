/// Binds the engine's blocks of scans that run on a device: their randomness, and their replay.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <stdexcept>

#include "bind.hpp"
#include "number_type.hpp"
#include "numpygeons/engine/replay.hpp"
#include "scan_arrays.hpp"

namespace numpygeons::bindings {

namespace py = pybind11;
using py::literals::operator""_a;

namespace {

/// The first `n_scans` scans of arrays that may have room for more.
template <class Arrays>
Arrays first_scans(Arrays arrays, const CoordinatorSettings& settings, std::size_t n_scans) {
  for_each_field<Arrays>([&](const auto& field) {
    auto& all = arrays.*field.array;
    all = all.first(std::min(all.size(), field.size(settings, n_scans * settings.n_chains)));
  });
  return arrays;
}

/// The arrays have `n_rows` scans; those beyond the first `n_scans` are not filled in, so that one
/// compiled program takes blocks of any length.
py::object drawn_block(const Coordinator& coordinator, std::size_t first, std::size_t n_scans,
                       std::size_t n_rows, const py::object& dtype) {
  if (n_rows < n_scans) throw std::invalid_argument("there are more scans than rows");
  return with_number_type(dtype, [&]<class Real>(std::type_identity<Real>) {
    const CoordinatorSettings& settings = coordinator.settings();
    const NewArrays<BlockNoise, Real> drawn(settings, {n_rows, settings.n_chains});
    {
      const py::gil_scoped_release release;
      draw_block(coordinator, first, n_scans, first_scans(drawn.spans, settings, n_scans));
    }
    return drawn.tuple;
  });
}

bool replayed(Coordinator& coordinator, std::size_t n_scans, const py::sequence& explored) {
  const py::dtype dtype = py::array(py::object(explored[0])).dtype();
  return with_number_type(dtype, [&]<class Real>(std::type_identity<Real>) {
    const ArraysIn<ExploredBlock, Real> arrays(explored);
    const py::gil_scoped_release release;
    return replay(coordinator, n_scans,
                  first_scans(arrays.spans(), coordinator.settings(), n_scans));
  });
}

}  // namespace

void bind_replay(py::module_& engine) {
  bind_named_tuple<BlockNoise>(engine, "BlockNoise", "The randomness of consecutive scans.");
  bind_named_tuple<ExploredBlock>(engine, "ExploredBlock",
                                  "What a device found in consecutive scans.");
  engine.def("draw_block", &drawn_block, "coordinator"_a, "first"_a, "n_scans"_a, "n_rows"_a,
             "dtype"_a,
             "Randomness of the scans from the 0-based `first` on, in arrays of `n_rows` scans.");
  engine.def("replay", &replayed, "coordinator"_a, "n_scans"_a, "explored"_a,
             "Takes scans that a device has explored and swapped; False where they must stop.");
}

}  // namespace numpygeons::bindings
