/// Binds what one round leaves behind.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>

#include "arrays.hpp"
#include "bind.hpp"
#include "numpygeons/engine/round_data.hpp"
#include "numpygeons/engine/unfinished_round.hpp"

namespace numpygeons::bindings {

namespace py = pybind11;
using py::literals::operator""_a;

namespace {

/// One row per chain from the moments, `field` of each.
template <class Field>
py::array_t<double> by_chain(const RoundData& data, Field field) {
  py::array_t<double> result({size(data.moments.size()), size(data.dimension)});
  double* out = result.mutable_data();
  for (const Moments& moments : data.moments)
    out = std::copy(field(moments).begin(), field(moments).end(), out);
  return result;
}

using First = std::tuple<std::uint32_t, std::uint32_t, double, std::uint64_t>;

std::optional<FirstZeroLikelihood> as_first(const std::optional<First>& first) {
  if (!first) return std::nullopt;
  const auto& [replica, chain, beta, scan] = *first;
  return FirstZeroLikelihood{Replica{replica}, Chain{chain}, beta, scan};
}

py::object as_tuple(const std::optional<FirstZeroLikelihood>& first) {
  if (!first) return py::none();
  return py::make_tuple(first->replica.value, first->chain.value, first->beta, first->scan);
}

template <class T>
std::size_t extent(const ArrayIn<T>& array, int axis) {
  return static_cast<std::size_t>(array.shape(axis));
}

template <class T>
std::vector<T> values(const ArrayIn<T>& array) {
  return {array.data(), array.data() + array.size()};
}

/// The sizes come from `v`, `means` and `statistic_sums`; the others must agree with them.
template <class T>
void require(const char* name, const ArrayIn<T>& array, const std::vector<std::size_t>& wanted) {
  std::string got_text, wanted_text;
  bool same = static_cast<std::size_t>(array.ndim()) == wanted.size();
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis)
    got_text += std::to_string(array.shape(axis)) + ",";
  for (std::size_t axis = 0; axis < wanted.size(); ++axis) {
    wanted_text += std::to_string(wanted[axis]) + ",";
    same = same && extent(array, static_cast<int>(axis)) == wanted[axis];
  }
  if (!same)
    throw std::invalid_argument(std::string(name) + " must have shape (" + wanted_text +
                                "): got (" + got_text + ")");
}

std::shared_ptr<RoundData> round_data(std::uint32_t round, const ArrayIn<double>& v,
                                      const ArrayIn<std::uint32_t>& replicas,
                                      const ArrayIn<double>& statistic_sums,
                                      const ArrayIn<double>& counts, const ArrayIn<double>& means,
                                      const ArrayIn<double>& squared_deviations,
                                      const ArrayIn<double>& snapshots, std::size_t snapshot_stride,
                                      std::uint64_t n_restarts, std::uint64_t n_round_trips,
                                      std::uint64_t n_zero_likelihood,
                                      const std::optional<First>& first_zero_likelihood) {
  if (v.ndim() != 2 || means.ndim() != 2 || statistic_sums.ndim() != 2)
    throw std::invalid_argument("v, means and statistic_sums must have two axes: got " +
                                std::to_string(v.ndim()) + ", " + std::to_string(means.ndim()) +
                                " and " + std::to_string(statistic_sums.ndim()));
  const auto data = std::make_shared<RoundData>();
  data->round = round;
  data->n_scans = extent(v, 0);
  data->n_chains = extent(v, 1);
  data->dimension = extent(means, 1);
  data->n_statistics = extent(statistic_sums, 1);
  const std::size_t rows = extent(means, 0);  // 0 where moments were not recorded
  const std::size_t n_snapshots = snapshot_stride == 0 ? 0 : data->n_scans / snapshot_stride;
  require("replicas", replicas, {data->n_scans, data->n_chains});
  require("statistic_sums", statistic_sums, {data->n_chains, data->n_statistics});
  require("means", means, {rows == 0 ? 0 : data->n_chains, data->dimension});
  require("squared_deviations", squared_deviations, {rows, data->dimension});
  require("counts", counts, {rows});
  require("snapshots", snapshots, {n_snapshots, data->n_chains, data->dimension});
  data->v = values(v);
  data->replicas = values(replicas);
  data->statistic_sums = values(statistic_sums);
  for (std::size_t c = 0; c < rows; ++c) {
    const double count = counts.data()[c];
    if (!(count >= 0 && count < 0x1p53))
      throw std::invalid_argument("counts must be whole numbers from 0: got counts[" +
                                  std::to_string(c) + "] = " + std::to_string(count));
    const double* mean = means.data() + c * data->dimension;
    const double* squared = squared_deviations.data() + c * data->dimension;
    data->moments.push_back({static_cast<std::uint64_t>(count),
                             {mean, mean + data->dimension},
                             {squared, squared + data->dimension}});
  }
  data->snapshot_stride = snapshot_stride;
  data->snapshots = values(snapshots);
  data->n_restarts = n_restarts;
  data->n_round_trips = n_round_trips;
  data->n_zero_likelihood = n_zero_likelihood;
  data->first_zero_likelihood = as_first(first_zero_likelihood);
  return data;
}

void bind_unfinished_round(const py::module_& module) {
  using Round = UnfinishedRound;
  const auto array = [](auto Round::* field) {
    return
        [field](const Round& round) { return copied(round.*field, {size((round.*field).size())}); };
  };
  py::class_<Round>(module, "UnfinishedRound",
                    "The scans of a round so far: flat arrays, rows by scan, columns by chain.")
      .def(
          py::init([](std::size_t n_done, const ArrayIn<double>& v,
                      const ArrayIn<std::uint32_t>& replicas, const ArrayIn<double>& statistic_sums,
                      const ArrayIn<double>& snapshots, const ArrayIn<std::uint64_t>& moments,
                      const ArrayIn<std::uint32_t>& chains, std::uint64_t n_zero_likelihood,
                      const std::optional<First>& first_zero_likelihood) {
            return Round{.n_done = n_done,
                         .v = values(v),
                         .replicas = values(replicas),
                         .statistic_sums = values(statistic_sums),
                         .snapshots = values(snapshots),
                         .moments = values(moments),
                         .chains = values(chains),
                         .n_zero_likelihood = n_zero_likelihood,
                         .first_zero_likelihood = as_first(first_zero_likelihood)};
          }),
          py::kw_only(), "n_done"_a, "v"_a, "replicas"_a, "statistic_sums"_a, "snapshots"_a,
          "moments"_a, "chains"_a, "n_zero_likelihood"_a, "first_zero_likelihood"_a,
          "From what the properties of another one give.")
      .def_readonly("n_done", &Round::n_done)
      .def_property_readonly("v", array(&Round::v))
      .def_property_readonly("replicas", array(&Round::replicas))
      .def_property_readonly("statistic_sums", array(&Round::statistic_sums))
      .def_property_readonly("snapshots", array(&Round::snapshots))
      .def_property_readonly("moments", array(&Round::moments),
                             "Words of ExactMoments, shape (n_chains * (1 + 4 dimension),).")
      .def_property_readonly("chains", array(&Round::chains))
      .def_readonly("n_zero_likelihood", &Round::n_zero_likelihood)
      .def_property_readonly("first_zero_likelihood", [](const Round& round) {
        return as_tuple(round.first_zero_likelihood);
      });
}

}  // namespace

void bind_round_data(const py::module_& engine) {
  bind_unfinished_round(engine);
  using Pointer = std::shared_ptr<RoundData>;
  py::class_<RoundData, Pointer>(engine, "RoundData", "Everything recorded in one round.")
      .def(py::init(&round_data), py::kw_only(), "round"_a, "v"_a, "replicas"_a, "statistic_sums"_a,
           "counts"_a, "means"_a, "squared_deviations"_a, "snapshots"_a, "snapshot_stride"_a,
           "n_restarts"_a, "n_round_trips"_a, "n_zero_likelihood"_a, "first_zero_likelihood"_a,
           "From what the properties of another one give.")
      .def_readonly("round", &RoundData::round)
      .def_readonly("n_scans", &RoundData::n_scans)
      .def_readonly("n_restarts", &RoundData::n_restarts)
      .def_readonly("n_round_trips", &RoundData::n_round_trips)
      .def_readonly("n_zero_likelihood", &RoundData::n_zero_likelihood)
      .def_property_readonly(
          "first_zero_likelihood",
          [](const RoundData& data) { return as_tuple(data.first_zero_likelihood); },
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
            const std::size_t row = std::max<std::size_t>(data->n_chains * data->dimension, 1);
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
