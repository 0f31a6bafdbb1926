/// Binds the engine's blocks of scans that run on a device: their randomness, and their replay.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>

#include "arrays.hpp"
#include "bind.hpp"
#include "numpygeons/engine/coordinator.hpp"

namespace numpygeons::bindings {

namespace py = pybind11;
using py::literals::operator""_a;

namespace {

/// The arrays have `n_rows` scans; those beyond the first `n_scans` are not filled in, so that one
/// compiled program takes blocks of any length.
template <class Real>
py::tuple draw_block(const Coordinator& coordinator, std::size_t first, std::size_t n_scans,
                     std::size_t n_rows) {
  if (n_rows < n_scans) throw std::invalid_argument("there are more scans than rows");
  const CoordinatorSettings& s = coordinator.settings();
  const std::size_t n_keys = s.hands_out_keys ? 2 : 0;
  using Shape = std::vector<std::size_t>;
  const auto shape = [&](const Shape& inner) {
    Shape all{n_rows, s.n_chains};
    all.insert(all.end(), inner.begin(), inner.end());
    return all;
  };
  py::array_t<Real> normals(shape({s.n_normals})), uniforms(shape({s.n_uniforms}));
  py::array_t<std::uint32_t> keys(shape({n_keys}));
  py::array_t<Real> proposals(shape({s.n_proposals, s.dimension})),
      logs(shape({s.n_proposals, n_proposal_logs}));
  py::array_t<std::int32_t> components(shape({s.n_proposals}));
  py::array_t<double> log_swap_uniforms(shape({}));
  const auto filled = [&](auto& array, std::size_t width) {
    return std::span(array.mutable_data(), n_scans * s.n_chains * width);
  };
  const BlockNoise<Real> block{
      {filled(normals, s.n_normals), filled(uniforms, s.n_uniforms), filled(keys, n_keys),
       filled(proposals, s.n_proposals * s.dimension),
       filled(logs, n_proposal_logs * s.n_proposals), filled(components, s.n_proposals)},
      filled(log_swap_uniforms, 1)};
  {
    const py::gil_scoped_release release;
    coordinator.draw_block(first, n_scans, block);
  }
  return py::make_tuple(normals, uniforms, keys, proposals, logs, components, log_swap_uniforms);
}

template <class Real>
bool replay(Coordinator& coordinator, std::size_t n_scans, const ArrayIn<Real>& x,
            const ArrayIn<Real>& log_reference, const ArrayIn<Real>& v,
            const ArrayIn<Real>& statistics, const ArrayIn<std::int32_t>& chains) {
  const CoordinatorSettings& s = coordinator.settings();
  const auto used = [&](const auto& array, std::size_t width) {
    const auto all = as_span(array);
    return all.first(std::min(all.size(), n_scans * s.n_chains * width));
  };
  const ExploredBlock<Real> explored{used(x, s.dimension), used(log_reference, 1), used(v, 1),
                                     used(statistics, s.n_statistics), used(chains, 1)};
  const py::gil_scoped_release release;
  return coordinator.replay(n_scans, explored);
}

}  // namespace

void bind_block(py::module_& engine) {
  const auto bind = [&]<class Real>(Real, const char* draw_name, const char* replay_name) {
    engine.def(draw_name, &draw_block<Real>, "coordinator"_a, "first"_a, "n_scans"_a, "n_rows"_a,
               "Randomness of the scans from the 0-based `first` on, in arrays of `n_rows` scans.");
    engine.def(replay_name, &replay<Real>, "coordinator"_a, "n_scans"_a, "x"_a, "log_reference"_a,
               "v"_a, "statistics"_a, "chains"_a,
               "Takes scans that a device has explored and swapped; False where they must stop.");
  };
  bind(float{}, "draw_block_f32", "replay_f32");
  bind(double{}, "draw_block_f64", "replay_f64");
}

}  // namespace numpygeons::bindings
