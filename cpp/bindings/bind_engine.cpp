/// Binds the layer engine: convert, call, convert.
#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <bit>

#include "arrays.hpp"
#include "bind.hpp"
#include "number_type.hpp"
#include "numpygeons/base/errors.hpp"
#include "numpygeons/comm/communicator.hpp"
#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/engine/round.hpp"
#include "scan_arrays.hpp"
#include "xla_handler.hpp"

namespace numpygeons::bindings {

namespace py = pybind11;
using py::literals::operator""_a;

namespace {

/// The chains and the randomness of a worker's scan to come.
py::object prepare(const Coordinator& coordinator, std::size_t worker, const py::object& dtype) {
  coordinator.require_scan(worker);
  return with_number_type(dtype, [&]<class Real>(std::type_identity<Real>) {
    const NewArrays<NextScan, Real> next(coordinator.settings(), {coordinator.n_rows()});
    fill(next.spans, 0);  // rows beyond the worker's replicas are handed on too
    coordinator.prepare(worker, next.spans);
    return next.tuple;
  });
}

/// Shape and dtype of each array of NextScan, before there is a coordinator.
py::object next_scan_shapes(const py::object& dtype, std::size_t n_rows, std::size_t dimension,
                            std::size_t n_normals, std::size_t n_uniforms, bool hands_out_keys,
                            std::size_t n_proposals) {
  const CoordinatorSettings settings{.dimension = dimension,
                                     .n_normals = n_normals,
                                     .n_uniforms = n_uniforms,
                                     .hands_out_keys = hands_out_keys,
                                     .n_proposals = n_proposals};
  return with_number_type(dtype, [&]<class Real>(std::type_identity<Real>) {
    return made_of_fields<NextScan, Real>([&](const auto& field) {
      using T = typename std::remove_cvref_t<decltype(field)>::Element;
      return py::make_tuple(py::tuple(py::cast(shape_of(field, settings, {n_rows}))),
                            py::dtype::of<T>());
    });
  });
}

/// Runs a block's scans through a Python function (scan, given: NextScan) -> (x, log_reference, v,
/// statistics). Python is left alone while workers wait.
void run_scans_in_python(Coordinator& coordinator, std::size_t worker, const py::function& f,
                         const py::object& dtype) {
  with_number_type(dtype, [&]<class Real>(std::type_identity<Real>) {
    ArraysIn<Explored, Real> explored;  // outlives the call that filled it
    const auto explore = [&](std::size_t scan, const NextScan<Real>& given) {
      const py::gil_scoped_acquire lock;
      const NewArrays<NextScan, Real> own(coordinator.settings(), {coordinator.n_rows()});
      copy(given, own.spans);
      explored = ArraysIn<Explored, Real>(py::sequence(f(scan, own.tuple)));
      return explored.spans();
    };
    const py::gil_scoped_release release;
    run_scans<Real>(coordinator, worker, explore);
  });
}

void bind_coordinator(const py::module_& module) {
  py::class_<Coordinator>(module, "Coordinator",
                          "Owns the index process and the recorders of a run.")
      .def(py::init([](std::uint64_t seed, std::size_t n_chains, std::size_t dimension,
                       std::size_t n_normals, std::size_t n_uniforms, std::size_t n_statistics,
                       bool hands_out_keys, std::size_t n_proposals, std::size_t n_snapshots,
                       bool records_draws, bool records_moments,
                       std::shared_ptr<Communicator> ranks, std::size_t n_workers) {
             return std::make_unique<Coordinator>(
                 CoordinatorSettings{seed, n_chains, dimension, n_normals, n_uniforms, n_statistics,
                                     hands_out_keys, n_proposals, n_snapshots, records_draws,
                                     records_moments},
                 std::move(ranks), n_workers);
           }),
           py::kw_only(), "seed"_a, "n_chains"_a, "dimension"_a, "n_normals"_a, "n_uniforms"_a,
           "n_statistics"_a, "hands_out_keys"_a = false, "n_proposals"_a = 0, "n_snapshots"_a = 0,
           "records_draws"_a = true, "records_moments"_a = true, "ranks"_a = nullptr,
           "n_workers"_a = 1)
      .def_property_readonly("n_workers", &Coordinator::n_workers)
      .def_property_readonly("n_rows", &Coordinator::n_rows,
                             "Rows of every worker's arrays; those beyond its replicas are idle.")
      .def(
          "replicas_of",
          [](const Coordinator& self, std::size_t worker) {
            if (worker >= self.n_workers())
              throw std::invalid_argument("there are " + std::to_string(self.n_workers()) +
                                          " workers: got worker " + std::to_string(worker));
            const Block block = self.replicas_of(worker);
            return py::make_tuple(block.first, block.count);
          },
          "worker"_a, "(first, count) of the replicas of a worker of this rank.")
      .def(
          "begin_round",
          [](Coordinator& self, std::uint32_t round, std::size_t n_scans,
             const ArrayIn<double>& betas, const ArrayIn<double>& centre,
             const ArrayIn<double>& scale, std::size_t real_bytes, std::size_t most_draws) {
            self.begin_round(round, n_scans, Schedule({betas.data(), betas.data() + betas.size()}),
                             as_span(centre), as_span(scale), real_bytes, most_draws);
          },
          py::kw_only(), "round"_a, "n_scans"_a, "betas"_a, "centre"_a, "scale"_a, "real_bytes"_a,
          "most_draws"_a)
      .def(
          "begin_block",
          [](Coordinator& self, std::size_t n_scans, std::size_t first) {
            self.require_scan(0);
            self.begin_block(n_scans, first);
          },
          "n_scans"_a, "first"_a = 0)
      .def(
          "take_draws",
          [](Coordinator& self) {
            const auto draws = [&] {
              const py::gil_scoped_release release;  // other ranks may be late
              return std::make_shared<Draws>(self.take_draws());
            }();
            return py::make_tuple(
                shared(reinterpret_cast<const std::uint8_t*>(draws->x.data()),
                       {size(draws->x.size())}, draws),
                shared(draws->log_reference.data(), {size(draws->log_reference.size())}, draws));
          },
          "The target's states since the last call, as bytes, and their log gamma_0.")
      .def(
          "take_own_draws",
          [](Coordinator& self) {
            const auto own = std::make_shared<OwnDraws>(self.take_own_draws());
            const Draws& draws = own->draws;
            return py::make_tuple(
                shared(own->scans.data(), {size(own->scans.size())}, own),
                shared(reinterpret_cast<const std::uint8_t*>(draws.x.data()),
                       {size(draws.x.size())}, own),
                shared(draws.log_reference.data(), {size(draws.log_reference.size())}, own));
          },
          "(scans, states as bytes, their log gamma_0) of this rank's replicas at the target since "
          "the last call; does not wait for other ranks.")
      .def("set_proposals", &Coordinator::set_proposals, "tables"_a)
      .def("prepare", &prepare, "worker"_a, "dtype"_a,
           "Chains and randomness of the next scan, as NextScan.")
      .def("run_scans", &run_scans_in_python, "worker"_a, "explore"_a, "dtype"_a,
           "Runs the block's scans; explore(scan, NextScan) -> Explored.")
      .def("fail", &Coordinator::fail, "worker"_a, py::call_guard<py::gil_scoped_release>())
      .def("unfinished", &Coordinator::unfinished, py::call_guard<py::gil_scoped_release>())
      .def("resume", &Coordinator::resume, "so_far"_a)
      .def("end_round", &Coordinator::end_round, py::call_guard<py::gil_scoped_release>())
      .def("rethrow", &Coordinator::rethrow)
      .def_property_readonly("failed", &Coordinator::failed)
      .def("request_stop", &Coordinator::request_stop)
      .def_property_readonly("stopped", &Coordinator::stopped)
      .def_property_readonly("n_scans_done", &Coordinator::n_scans_done)
      .def_property(
          "chains",
          [](const Coordinator& self) {
            return copied(self.chains(), {size(self.settings().n_chains)});
          },
          [](Coordinator& self, const ArrayIn<std::uint32_t>& chains) {
            self.set_chains(as_span(chains));
          },
          "Chain of each replica, shape (n_chains,).")
      .def_property_readonly(
          "betas",
          [](const Coordinator& self) {
            const std::vector<double> betas(self.betas().begin(), self.betas().end());
            return copied(betas, {size(betas.size())});
          },
          "Of the round, shape (n_chains,).")
      .def(
          "address",
          [](const Coordinator& self, std::uint32_t worker) {
            self.require_scan(worker);  // the compiled program checks nothing
            const auto address = std::bit_cast<std::uint64_t>(&self);
            py::array_t<std::uint32_t> handle(3);
            handle.mutable_at(0) = static_cast<std::uint32_t>(address);
            handle.mutable_at(1) = static_cast<std::uint32_t>(address >> 32);
            handle.mutable_at(2) = worker;
            return handle;
          },
          "worker"_a,
          "The coordinator's address in two halves and the worker's number, for the compiled "
          "program's custom call.");
}

}  // namespace

void bind_engine(py::module_& module) {
  py::module_ engine = module.def_submodule("engine", "Rounds and their records.");
  // NOLINTNEXTLINE(performance-unnecessary-value-param): pybind11 wants this type
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const NumericalError& numerical) {
      const auto type = py::module_::import("numpygeons.errors").attr("NumericalError");
      py::set_error(type, numerical.what());
    } catch (const ReproducibilityError& different) {
      const auto type = py::module_::import("numpygeons.errors").attr("ReproducibilityError");
      py::set_error(type, different.what());
    }
  });
  bind_named_tuple<NextScan>(engine, "NextScan", "What a worker's explorers of a scan are given.");
  bind_named_tuple<Explored>(engine, "Explored", "What they hand in.");
  bind_round_data(engine);
  bind_coordinator(engine);
  bind_replay(engine);
  engine.def("next_scan_shapes", &next_scan_shapes, "dtype"_a, py::kw_only(), "n_rows"_a,
             "dimension"_a, "n_normals"_a, "n_uniforms"_a, "hands_out_keys"_a, "n_proposals"_a,
             "(shape, dtype) of each array of NextScan.");
  engine.def("registrations", &registrations,
             "Every target of compiled programs by its name, to be registered with jax.ffi.");
  engine.def("xla_interface_version", &xla_interface_version);
}

}  // namespace numpygeons::bindings
