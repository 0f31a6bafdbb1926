/// Binds the layer tuning: convert, call, convert.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "numpygeons/tuning/adaptation.hpp"
#include "numpygeons/tuning/proposals.hpp"
#include "numpygeons/tuning/tempered_sample.hpp"

namespace numpygeons::bindings {

namespace py = pybind11;
using py::literals::operator""_a;

namespace {

void bind_proposals(const py::module_& module) {
  py::class_<Proposals>(module, "Proposals",
                        "Draws from mixtures of normals, one mixture per chain.")
      .def(py::init([](const ArrayIn<double>& log_weights, const ArrayIn<double>& means,
                       const ArrayIn<double>& factors, const ArrayIn<std::int32_t>& counts,
                       std::size_t n_most) {
             if (means.ndim() != 3)
               throw std::invalid_argument(
                   "means must have shape (n_chains, n_components, dimension): got " +
                   std::to_string(means.ndim()) + " axes");
             const auto extent = [&](int axis) {
               return static_cast<std::size_t>(means.shape(axis));
             };
             return Proposals({extent(0), extent(1), extent(2), n_most, as_span(log_weights),
                               as_span(means), as_span(factors), as_span(counts)});
           }),
           py::kw_only(), "log_weights"_a, "means"_a, "factors"_a, "counts"_a, "n_most"_a)
      .def(
          "draw",
          [](const Proposals& self, std::uint64_t seed, std::uint32_t round, std::uint64_t scan,
             std::uint32_t chain) {
            if (chain >= self.n_chains())
              throw std::invalid_argument("there are " + std::to_string(self.n_chains()) +
                                          " chains: got chain " + std::to_string(chain));
            const std::size_t n = self.n_most(), d = self.dimension();
            std::vector<double> x(n * d), logs(n * n_proposal_logs);
            std::vector<std::int32_t> components(n);
            self.draw<double>(seed, 0, round, scan, Chain{chain}, {x, logs, components});
            return py::make_tuple(copied(x, {size(n), size(d)}),
                                  copied(logs, {size(n), size(n_proposal_logs)}),
                                  copied(components, {size(n)}));
          },
          py::kw_only(), "seed"_a, "round"_a, "scan"_a, "chain"_a,
          "(x, logs, components) of one chain in one scan, as the coordinator hands them out.");
}

void bind_adaptation(py::module_& module) {
  module.def(
      "tuned_steps",
      [](const ArrayIn<double>& steps, const ArrayIn<double>& acceptance, double target,
         std::size_t n_scans) {
        return copied(tuned_steps(as_span(steps), as_span(acceptance), target, n_scans),
                      {steps.size()});
      },
      "steps"_a, "acceptance"_a, "target"_a, "n_scans"_a,
      "Step sizes whose mean acceptance probability should come near `target`.");
  module.def(
      "neighbour_variances",
      [](const ArrayIn<double>& old, const ArrayIn<double>& counts, const ArrayIn<double>& means,
         const ArrayIn<double>& squared_deviations, double prior_visits, bool skip_first) {
        return copied(neighbour_variances(as_span(old), as_span(counts), as_span(means),
                                          as_span(squared_deviations), prior_visits, skip_first),
                      {old.shape(), old.shape() + old.ndim()});
      },
      "old"_a, "counts"_a, "means"_a, "squared_deviations"_a, "prior_visits"_a, "skip_first"_a,
      "Variances per chain and coordinate from the pooled visits to a chain and its neighbours.");
  module.def(
      "carry_over",
      [](const ArrayIn<double>& betas, const ArrayIn<double>& values,
         const ArrayIn<double>& new_betas) {
        std::vector<py::ssize_t> shape(values.shape(), values.shape() + values.ndim());
        if (shape.empty() || shape[0] != betas.size())
          throw std::invalid_argument("values must have one row per beta, " +
                                      std::to_string(betas.size()) + ": got " +
                                      (shape.empty() ? "a number" : std::to_string(shape[0])));
        shape[0] = new_betas.size();
        return copied(carry_over(as_span(betas), as_span(values), as_span(new_betas)), shape);
      },
      "betas"_a, "values"_a, "new_betas"_a,
      "Rows of `values` moved from `betas` to `new_betas`, linearly in log beta.");
}

void bind_samples(py::module_& module) {
  module.def(
      "log_mixture",
      [](const ArrayIn<double>& v, const ArrayIn<double>& betas, const ArrayIn<double>& log_z) {
        return copied(log_mixture(as_span(v), as_span(betas), as_span(log_z)), {v.size()});
      },
      "v"_a, "betas"_a, "log_z"_a,
      "Log density of the mixture of all chains, relative to the reference's, of each V.");
  module.def(
      "tempered_sample",
      [](const ArrayIn<double>& v, const ArrayIn<double>& mixture, double beta,
         std::size_t n_points, double least_size) {
        return copied(tempered_sample(as_span(v), as_span(mixture), beta, n_points, least_size),
                      {size(n_points)});
      },
      "v"_a, "log_mixture"_a, "beta"_a, "n_points"_a, "least_size"_a,
      "Indices of recorded states that together stand for the density at `beta`.");
}

}  // namespace

void bind_tuning(py::module_& module) {
  py::module_ tuning = module.def_submodule("tuning", "What tunes explorers between rounds.");
  bind_adaptation(tuning);
  bind_samples(tuning);
  bind_proposals(tuning);
}

}  // namespace numpygeons::bindings
