/// Binds the layer tempering: convert, call, convert.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "numpygeons/base/indices.hpp"
#include "numpygeons/tempering/barrier.hpp"
#include "numpygeons/tempering/deo.hpp"
#include "numpygeons/tempering/index_process.hpp"
#include "numpygeons/tempering/round_trips.hpp"
#include "numpygeons/tempering/schedule.hpp"
#include "numpygeons/tempering/schedule_tuning.hpp"
#include "numpygeons/tempering/swap_rule.hpp"

namespace numpygeons::bindings {
namespace {

namespace py = pybind11;

using Indices = ArrayIn<std::uint32_t>;

Schedule schedule_of(const Doubles& betas) {
  const auto span = as_span(betas);
  return Schedule({span.begin(), span.end()});
}

std::vector<Chain> chains_of(const Indices& array) {
  std::vector<Chain> chains;
  chains.reserve(static_cast<std::size_t>(array.size()));
  for (py::ssize_t i = 0; i < array.size(); ++i) chains.push_back(Chain{array.data()[i]});
  return chains;
}

template <class Index>
py::array_t<std::uint32_t> array_of_indices(std::span<const Index> indices) {
  py::array_t<std::uint32_t> out(static_cast<py::ssize_t>(indices.size()));
  for (std::size_t i = 0; i < indices.size(); ++i) out.mutable_data()[i] = indices[i].value;
  return out;
}

void bind_swaps(py::module_& tempering) {
  tempering.def(
      "deo_partner",
      [](std::uint32_t chain, std::uint64_t scan, std::size_t n_chains) {
        if (chain >= n_chains)
          throw std::invalid_argument("there are " + std::to_string(n_chains) +
                                      " chains: got chain " + std::to_string(chain));
        return deo_partner(Chain{chain}, scan, n_chains).value;
      },
      py::arg("chain"), py::arg("scan"), py::arg("n_chains"),
      "The chain that `chain` may swap with in scan number `scan` (from 1); itself at an end.");
  tempering.def("linear_log_ratio", py::vectorize(&linear_log_ratio), py::arg("v"),
                py::arg("beta_own"), py::arg("beta_partner"),
                "The partner's log density minus the own, on a linear path.");
  tempering.def("swap_acceptance", py::vectorize(&swap_acceptance), py::arg("log_ratio_lower"),
                py::arg("log_ratio_upper"), "min(1, exp(sum of both)), for any path.");
  tempering.def("linear_swap_acceptance", py::vectorize(&linear_swap_acceptance),
                py::arg("beta_lower"), py::arg("beta_upper"), py::arg("v_lower"),
                py::arg("v_upper"), "The same, on a linear path.");
  tempering.def("linear_swap_log_ratio", py::vectorize(&linear_swap_log_ratio),
                py::arg("beta_lower"), py::arg("beta_upper"), py::arg("v_lower"),
                py::arg("v_upper"), "Its logarithm, where that is below 0.");
  tempering.def("accepts_swap", py::vectorize(&accepts_swap), py::arg("uniform"),
                py::arg("acceptance"), "Whether a pair swaps.");

  py::class_<IndexProcess>(tempering, "IndexProcess", "Which replica stands at which chain.")
      .def(py::init<std::size_t>(), py::arg("n_chains"))
      .def_static(
          "from_chains",
          [](const Indices& chains) {
            return IndexProcess(std::span<const Chain>(chains_of(chains)));
          },
          py::arg("chains"), "The process at the given chain of each replica.")
      .def_property_readonly("n_chains", &IndexProcess::n_chains)
      .def_property_readonly(
          "chains", [](const IndexProcess& self) { return array_of_indices(self.chains()); },
          "The chain of each replica.")
      .def_property_readonly(
          "replicas", [](const IndexProcess& self) { return array_of_indices(self.replicas()); },
          "The replica at each chain.")
      .def(
          "apply_swaps",
          [](IndexProcess& self, std::uint64_t scan, const Doubles& acceptances,
             const Doubles& uniforms) {
            return self.apply_swaps(scan, as_span(acceptances), as_span(uniforms));
          },
          py::arg("scan"), py::arg("acceptances"), py::arg("uniforms"),
          "Swap the active pairs with uniform < acceptance; the number of swaps.");

  py::class_<RoundTrips>(tempering, "RoundTrips", "Trips between reference and target.")
      .def(py::init<std::size_t>(), py::arg("n_chains"))
      .def("start_round", &RoundTrips::start_round, "Forget counts and trips under way.")
      .def(
          "record", [](RoundTrips& self, const Indices& chains) { self.record(chains_of(chains)); },
          py::arg("chains"), "Record the chain of each replica, before the swap.")
      .def_property_readonly(
          "restarts", [](const RoundTrips& self) { return copied(self.restarts()); },
          "Tempered restarts of each replica.")
      .def_property_readonly(
          "round_trips", [](const RoundTrips& self) { return copied(self.round_trips()); },
          "Round trips of each replica.")
      .def_property_readonly("n_restarts", &RoundTrips::n_restarts)
      .def_property_readonly("n_round_trips", &RoundTrips::n_round_trips);
}

void bind_schedules(py::module_& tempering) {
  const auto betas_of = [](const Schedule& schedule) { return copied(schedule.betas()); };
  tempering.def(
      "check_schedule", [betas_of](const Doubles& betas) { return betas_of(schedule_of(betas)); },
      py::arg("betas"), "The betas, if they are a schedule.");
  tempering.def(
      "equally_spaced",
      [betas_of](std::size_t n_chains) { return betas_of(Schedule::equally_spaced(n_chains)); },
      py::arg("n_chains"), "The betas 0, 1/(n_chains - 1), ..., 1.");
  tempering.def(
      "reference_rejection",
      [](const Doubles& sorted_v, double beta) {
        return reference_rejection(as_span(sorted_v), beta);
      },
      py::arg("sorted_v"), py::arg("beta"),
      "Mean rejection between reference and beta, from reference draws.");
  tempering.def(
      "initial_schedule",
      [betas_of](std::size_t n_chains, const Doubles& sorted_v) {
        return betas_of(initial_schedule(n_chains, as_span(sorted_v)));
      },
      py::arg("n_chains"), py::arg("sorted_v"),
      "The schedule of the first round, from reference draws.");
  tempering.def(
      "tuned_schedule",
      [betas_of](const Doubles& betas, const Doubles& rejections, std::uint64_t n_scans,
                 const Doubles& sorted_v) {
        return betas_of(
            tuned_schedule(schedule_of(betas), as_span(rejections), n_scans, as_span(sorted_v)));
      },
      py::arg("betas"), py::arg("rejections"), py::arg("n_scans"), py::arg("sorted_v"),
      "The next schedule: equal shares of 2 erfinv(r).");
  tempering.def(
      "equal_rejection_schedule",
      [betas_of](const Doubles& betas, const Doubles& rejections) {
        return betas_of(equal_rejection_schedule(schedule_of(betas), as_span(rejections)));
      },
      py::arg("betas"), py::arg("rejections"),
      "The next schedule of the classical rule: equal shares of r.");
}

void bind_barrier(py::module_& tempering) {
  const auto barrier_of = [](const Doubles& betas, const Doubles& rejections) {
    return Barrier(schedule_of(betas), as_span(rejections));
  };
  tempering.def(
      "global_barrier",
      [barrier_of](const Doubles& betas, const Doubles& rejections) {
        return barrier_of(betas, rejections).global();
      },
      py::arg("betas"), py::arg("rejections"), "The sum of the rejection rates.");
  tempering.def(
      "cumulative_barrier",
      [barrier_of](const Doubles& betas, const Doubles& rejections, const Doubles& at) {
        const Barrier barrier = barrier_of(betas, rejections);
        return py::vectorize([&](double beta) { return barrier.cumulative(beta); })(at);
      },
      py::arg("betas"), py::arg("rejections"), py::arg("at"),
      "The barrier between the reference and each beta of `at`.");
  tempering.def(
      "local_barrier",
      [barrier_of](const Doubles& betas, const Doubles& rejections, const Doubles& at) {
        const Barrier barrier = barrier_of(betas, rejections);
        return py::vectorize([&](double beta) { return barrier.local(beta); })(at);
      },
      py::arg("betas"), py::arg("rejections"), py::arg("at"),
      "The derivative of the cumulative barrier.");
  tempering.def(
      "extrapolated_barrier",
      [](const Doubles& acceptances) { return extrapolated_barrier(as_span(acceptances)); },
      py::arg("acceptances"), "The barrier of many chains, from the acceptances of a few.");
  tempering.def(
      "ideal_restart_rate",
      [](const Doubles& acceptances) { return ideal_restart_rate(as_span(acceptances)); },
      py::arg("acceptances"),
      "Restarts per scan where every chain forgets its state between two scans.");
}

}  // namespace

void bind_tempering(py::module_& module) {
  py::module_ tempering =
      module.def_submodule("tempering", "Swaps, trips, barrier and schedule: pure functions.");
  bind_swaps(tempering);
  bind_schedules(tempering);
  bind_barrier(tempering);
}

}  // namespace numpygeons::bindings
