/// Binds what one round leaves behind.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>

#include "arrays.hpp"
#include "bind.hpp"
#include "numpygeons/engine/round_data.hpp"

namespace numpygeons::bindings {

namespace py = pybind11;
using py::literals::operator""_a;

namespace {

py::ssize_t size(std::size_t n) { return static_cast<py::ssize_t>(n); }

/// One row per chain from the moments, `field` of each.
template <class Field>
py::array_t<double> by_chain(const RoundData& data, Field field) {
  py::array_t<double> result({size(data.moments.size()), size(data.dimension)});
  double* out = result.mutable_data();
  for (const Moments& moments : data.moments)
    out = std::copy(field(moments).begin(), field(moments).end(), out);
  return result;
}

}  // namespace

void bind_round_data(py::module_& module) {
  using Pointer = std::shared_ptr<RoundData>;
  py::class_<RoundData, Pointer>(module, "RoundData", "Everything recorded in one round.")
      .def_readonly("round", &RoundData::round)
      .def_readonly("n_scans", &RoundData::n_scans)
      .def_readonly("n_restarts", &RoundData::n_restarts)
      .def_readonly("n_round_trips", &RoundData::n_round_trips)
      .def_readonly("n_zero_likelihood", &RoundData::n_zero_likelihood)
      .def_property_readonly(
          "first_zero_likelihood",
          [](const RoundData& data) -> py::object {
            if (!data.first_zero_likelihood) return py::none();
            const FirstZeroLikelihood& first = *data.first_zero_likelihood;
            return py::make_tuple(first.replica.value, first.chain.value, first.beta, first.scan);
          },
          "(replica, chain, beta, scan) of the first state with V = -inf, or None.")
      .def_property_readonly(
          "v",
          [](const Pointer& data) {
            return shared(data->v.data(), {size(data->n_scans), size(data->n_chains)}, data);
          },
          "V by scan and chain, shape (n_scans, n_chains), nats.")
      .def_property_readonly(
          "replicas",
          [](const Pointer& data) {
            return shared(data->replicas.data(), {size(data->n_scans), size(data->n_chains)}, data);
          },
          "Who sat at each chain, shape (n_scans, n_chains).")
      .def_property_readonly(
          "statistic_sums",
          [](const RoundData& data) {
            return copied(data.statistic_sums, {size(data.n_chains), size(data.n_statistics)});
          },
          "Sums of the explorer's statistics, shape (n_chains, n_statistics).")
      .def_property_readonly(
          "snapshots",
          [](const Pointer& data) {
            const std::size_t row = data->n_chains * data->dimension;
            return shared(
                data->snapshots.data(),
                {size(data->snapshots.size() / row), size(data->n_chains), size(data->dimension)},
                data);
          },
          "Unconstrained states by chain, shape (n_snapshots, n_chains, dimension), of every "
          "`snapshot_stride`-th scan.")
      .def_readonly("snapshot_stride", &RoundData::snapshot_stride)
      .def_property_readonly("counts",
                             [](const RoundData& data) {
                               py::array_t<double> counts(size(data.moments.size()));
                               for (std::size_t c = 0; c < data.moments.size(); ++c)
                                 counts.mutable_at(size(c)) =
                                     static_cast<double>(data.moments[c].count);
                               return counts;
                             })
      .def_property_readonly("means",
                             [](const RoundData& data) {
                               return by_chain(data,
                                               [](const Moments& m) -> auto& { return m.mean; });
                             })
      .def_property_readonly("squared_deviations", [](const RoundData& data) {
        return by_chain(data, [](const Moments& m) -> auto& { return m.squared_deviation; });
      });
}

}  // namespace numpygeons::bindings
