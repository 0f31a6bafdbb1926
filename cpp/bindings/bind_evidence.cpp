/// Binds the layer evidence: convert, call, convert.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "numpygeons/evidence/bennett.hpp"
#include "numpygeons/evidence/curve.hpp"
#include "numpygeons/evidence/energy_autocorrelation.hpp"
#include "numpygeons/evidence/influence_variance.hpp"
#include "numpygeons/evidence/inputs.hpp"
#include "numpygeons/evidence/long_run_variance.hpp"
#include "numpygeons/evidence/mbar.hpp"
#include "numpygeons/evidence/pooling.hpp"
#include "numpygeons/evidence/round_evidence.hpp"
#include "numpygeons/evidence/stepping_stone.hpp"
#include "numpygeons/evidence/swap_statistics.hpp"
#include "numpygeons/evidence/tours.hpp"

namespace py = pybind11;
using py::literals::operator""_a;

namespace numpygeons::bindings {

namespace {

using Labels = ArrayIn<std::uint32_t>;

/// The result of `compute`, which must touch no Python object, without holding the interpreter.
template <class Compute>
auto unlocked(Compute compute) {
  const py::gil_scoped_release release;
  return compute();
}

template <class T>
MatrixView<const T> as_matrix(const ArrayIn<T>& array, const char* name) {
  if (array.ndim() != 2) {
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(array.ndim()) +
                                " dimensions: pass a matrix (n_scans, n_chains)");
  }
  return {array.data(), static_cast<std::size_t>(array.shape(0)),
          static_cast<std::size_t>(array.shape(1))};
}

std::span<const double> as_vector(const Doubles& array, const char* name) {
  if (array.ndim() != 1) {
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(array.ndim()) +
                                " dimensions: pass a vector");
  }
  return {array.data(), static_cast<std::size_t>(array.shape(0))};
}

/// The rows of a matrix.
py::array_t<double> in_rows(const std::vector<double>& values, std::size_t n_columns) {
  return copied(values, {size(values.size() / n_columns), size(n_columns)});
}

/// A read-only property that copies a vector into an array.
template <class Class, class Owner>
void def_array(Class& cls, const char* name, std::vector<double> Owner::* member) {
  cls.def_property_readonly(name, [member](const Owner& owner) { return copied(owner.*member); });
}

const char* method_name(EvidenceMethod method) {
  if (method == EvidenceMethod::mbar) return "mbar";
  return method == EvidenceMethod::bennett ? "bennett" : "none";
}

const char* severity_name(const Flag& flag) {
  if (flag.severity == Severity::note) return "note";
  return flag.severity == Severity::warning ? "warning" : "wrong";
}

void bind_flags(const py::module_& module) {
  py::class_<Flag>(module, "Flag", "Something to know about an estimate.")
      .def_readonly("name", &Flag::name)
      .def_property_readonly("severity", &severity_name)
      .def_readonly("reason", &Flag::reason)
      .def_readonly("advice", &Flag::advice)
      .def("__repr__", [](const Flag& flag) {
        return flag.name + " (" + severity_name(flag) + "): " + flag.reason + "; " + flag.advice;
      });
}

void bind_round(py::module_& module) {
  py::class_<RoundEvidence> cls(module, "RoundEvidence", "The evidence of one round.");
  cls.def_readonly("n_scans", &RoundEvidence::n_scans)
      .def_readonly("n_chains", &RoundEvidence::n_chains)
      .def_property_readonly("method",
                             [](const RoundEvidence& round) { return method_name(round.method); })
      .def_readonly("log_z", &RoundEvidence::log_z)
      .def_readonly("variance", &RoundEvidence::variance)
      .def_readonly("dof", &RoundEvidence::dof)
      .def_readonly("series_variance", &RoundEvidence::series_variance)
      .def_readonly("series_dof", &RoundEvidence::series_dof)
      .def_readonly("tour_variance", &RoundEvidence::tour_variance)
      .def_readonly("effective_tours", &RoundEvidence::effective_tours)
      .def_readonly("sqrt_ratio", &RoundEvidence::sqrt_ratio)
      .def_readonly("reference_weight", &RoundEvidence::reference_weight)
      .def_readonly("n_restarts", &RoundEvidence::n_restarts)
      .def_property_readonly(
          "flags", [](const RoundEvidence& round) { return py::tuple(py::cast(round.flags)); })
      .def_property_readonly("flagged", &RoundEvidence::flagged);
  def_array(cls, "log_z_by_chain", &RoundEvidence::log_z_by_chain);
  def_array(cls, "pair_log_ratios", &RoundEvidence::pair_log_ratios);
  def_array(cls, "overlaps", &RoundEvidence::overlaps);

  module.def(
      "round_evidence",
      [](const Doubles& v, const Labels& replicas, const Doubles& betas,
         std::optional<bool> reference_is_iid, double exponential_budget) {
        const auto log_ratios = as_matrix(v, "v");
        const auto labels = as_matrix(replicas, "replicas");
        const auto schedule = as_vector(betas, "betas");
        const bool iid = reference_is_iid.value_or(!schedule.empty() && schedule[0] == 0.0);
        return unlocked(
            [&] { return round_evidence(log_ratios, labels, schedule, iid, exponential_budget); });
      },
      "v"_a, "replicas"_a, "betas"_a, "reference_is_iid"_a = py::none(),
      "exponential_budget"_a = default_exponential_budget);
}

void bind_pool(py::module_& module) {
  py::class_<PooledEvidence>(module, "PooledEvidence", "The evidence of a run.")
      .def_readonly("log_z", &PooledEvidence::log_z)
      .def_readonly("variance", &PooledEvidence::variance)
      .def_readonly("dof", &PooledEvidence::dof)
      .def_readonly("n_rounds_used", &PooledEvidence::n_rounds_used)
      .def_readonly("rounds_disagree", &PooledEvidence::rounds_disagree)
      .def_property_readonly(
          "flags", [](const PooledEvidence& pooled) { return py::tuple(py::cast(pooled.flags)); });
  module.def(
      "pool",
      [](const std::vector<std::tuple<std::size_t, double, double, double, bool>>& rounds) {
        std::vector<RoundSummary> summaries;
        summaries.reserve(rounds.size());
        for (const auto& [n_scans, log_z, variance, dof, flagged] : rounds) {
          summaries.push_back({.n_scans = n_scans,
                               .log_z = log_z,
                               .variance = variance,
                               .dof = dof,
                               .flagged = flagged});
        }
        return pool(summaries);
      },
      "rounds"_a);
}

void bind_curve(py::module_& module) {
  module.def(
      "log_z_curve",
      [](const Doubles& v, const Labels& replicas, const Doubles& betas, const RoundEvidence& round,
         const Doubles& query_betas) {
        const auto log_ratios = as_matrix(v, "v");
        const auto labels = as_matrix(replicas, "replicas");
        const auto schedule = as_vector(betas, "betas");
        const auto queries = as_vector(query_betas, "query_betas");
        const auto curve =
            unlocked([&] { return log_z_curve(log_ratios, labels, schedule, round, queries); });
        return py::make_tuple(copied(curve.log_z), copied(curve.variance), copied(curve.dof));
      },
      "v"_a, "replicas"_a, "betas"_a, "round"_a, "query_betas"_a);
  module.def(
      "log_z_difference",
      [](const Doubles& v, const Labels& replicas, const Doubles& betas, const RoundEvidence& round,
         double beta_from, double beta_to) {
        const auto log_ratios = as_matrix(v, "v");
        const auto labels = as_matrix(replicas, "replicas");
        const auto schedule = as_vector(betas, "betas");
        const auto difference = unlocked([&] {
          return log_z_difference(log_ratios, labels, schedule, round, beta_from, beta_to);
        });
        return py::make_tuple(difference.log_z, difference.variance, difference.dof);
      },
      "v"_a, "replicas"_a, "betas"_a, "round"_a, "beta_from"_a, "beta_to"_a);
  module.def(
      "log_z_influence",
      [](const Doubles& v, const Doubles& betas, const RoundEvidence& round, double query_beta) {
        const auto log_ratios = as_matrix(v, "v");
        const auto schedule = as_vector(betas, "betas");
        const auto influence =
            unlocked([&] { return log_z_influence(log_ratios, schedule, round, query_beta); });
        return in_rows(influence, log_ratios.n_columns);
      },
      "v"_a, "betas"_a, "round"_a, "query_beta"_a);
}

void bind_pairs(py::module_& module) {
  module.def(
      "stepping_stone",
      [](const Doubles& v, const Doubles& betas) {
        const auto log_ratios = as_matrix(v, "v");
        const auto schedule = as_vector(betas, "betas");
        const auto stones = unlocked([&] { return stepping_stone(log_ratios, schedule); });
        return py::make_tuple(copied(stones.forward), copied(stones.backward));
      },
      "v"_a, "betas"_a);
  module.def(
      "bennett",
      [](const Doubles& v, const Doubles& betas) {
        const auto log_ratios = as_matrix(v, "v");
        const auto schedule = as_vector(betas, "betas");
        const auto pairs = unlocked([&] { return bennett(log_ratios, schedule); });
        return py::make_tuple(copied(pairs.log_ratios), copied(pairs.overlaps));
      },
      "v"_a, "betas"_a);

  py::class_<SwapStatistics> cls(module, "SwapStatistics",
                                 "Mean acceptance of all neighbouring pairs, with errors.");
  def_array(cls, "acceptance", &SwapStatistics::acceptance);
  def_array(cls, "acceptance_variance", &SwapStatistics::acceptance_variance);
  def_array(cls, "acceptance_dof", &SwapStatistics::acceptance_dof);
  cls.def_readonly("sum_of_rejections", &SwapStatistics::sum_of_rejections)
      .def_readonly("sum_of_rejections_variance", &SwapStatistics::sum_of_rejections_variance)
      .def_readonly("sum_of_rejections_dof", &SwapStatistics::sum_of_rejections_dof);
  module.def(
      "swap_statistics",
      [](const Doubles& v, const Doubles& betas) {
        const auto log_ratios = as_matrix(v, "v");
        const auto schedule = as_vector(betas, "betas");
        return unlocked([&] { return swap_statistics(log_ratios, schedule); });
      },
      "v"_a, "betas"_a);
  module.def(
      "energy_autocorrelation",
      [](const Doubles& v, const Labels& replicas) {
        const auto log_ratios = as_matrix(v, "v");
        const auto labels = as_matrix(replicas, "replicas");
        return copied(unlocked([&] { return energy_autocorrelation(log_ratios, labels); }));
      },
      "v"_a, "replicas"_a);
}

void bind_variances(py::module_& module) {
  module.def(
      "long_run_variance",
      [](const Doubles& series) {
        const auto values = as_vector(series, "series");
        const auto result = unlocked([&] { return long_run_variance(values); });
        return py::make_tuple(result.variance, result.dof, result.plain_variance);
      },
      "series"_a);
  module.def(
      "tour_variance",
      [](const Doubles& influence, const Labels& replicas) {
        const auto values = as_matrix(influence, "influence");
        const auto labels = as_matrix(replicas, "replicas");
        const auto result = unlocked([&] {
          check_replicas(labels, values.n_rows, values.n_columns);
          return tour_variance(values, labels);
        });
        return py::make_tuple(result.variance, result.effective_tours);
      },
      "influence"_a, "replicas"_a);
  module.def(
      "mbar",
      [](const Doubles& v, const Doubles& betas, const Doubles& start, const Doubles& weights,
         std::size_t n_steps) {
        const auto log_ratios = as_matrix(v, "v");
        const auto schedule = as_vector(betas, "betas");
        const auto f = as_vector(start, "start");
        const auto a = as_vector(weights, "weights");
        if (f.size() != schedule.size() || a.size() != schedule.size())
          throw std::invalid_argument("start and weights need one entry per chain");
        const auto [fit, influence] = unlocked([&] {
          check_log_ratios(log_ratios, schedule);
          const auto solution = mbar(log_ratios, schedule, f, a, n_steps);
          if (!solution) throw std::invalid_argument("chains do not overlap: singular Hessian");
          return std::pair(solution->f, mbar_influence(log_ratios, schedule, *solution,
                                                       solution->direction(f.size() - 1)));
        });
        return py::make_tuple(copied(fit), in_rows(influence, schedule.size()));
      },
      "v"_a, "betas"_a, "start"_a, "weights"_a, "n_steps"_a);
}

}  // namespace

void bind_evidence(py::module_& module) {
  py::module_ evidence = module.def_submodule("evidence", "log Z and its error.");
  bind_flags(evidence);
  bind_round(evidence);
  bind_pool(evidence);
  bind_curve(evidence);
  bind_pairs(evidence);
  bind_variances(evidence);
}

}  // namespace numpygeons::bindings
