/// Binds the layer comm: convert, call, convert.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "arrays.hpp"
#include "bind.hpp"
#include "numpygeons/base/errors.hpp"
#include "numpygeons/comm/communicator.hpp"
#include "numpygeons/comm/local.hpp"
#include "numpygeons/comm/mpi.hpp"
#include "numpygeons/comm/partition.hpp"

namespace numpygeons::bindings {

namespace py = pybind11;
using py::literals::operator""_a;

namespace {

/// Raises what a signal has raised, such as KeyboardInterrupt; does nothing off the main thread.
void raise_interrupts() {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

py::array_t<double> allgather(Communicator& self, const ArrayIn<double>& own) {
  const auto n = static_cast<std::size_t>(own.size());
  py::array_t<double> all({static_cast<py::ssize_t>(self.size()), own.size()});
  const std::span<const double> from = as_span(own);
  const std::span<double> to(all.mutable_data(), n * self.size());
  const py::gil_scoped_release waiting;
  self.allgather(std::as_bytes(from), std::as_writable_bytes(to));
  return all;
}

void broadcast(MpiCommunicator& self, py::array_t<std::uint8_t, py::array::c_style> bytes,
               std::size_t root) {
  const std::span<std::uint8_t> data(bytes.mutable_data(), static_cast<std::size_t>(bytes.size()));
  const py::gil_scoped_release waiting;
  self.broadcast(std::as_writable_bytes(data), root);
}

/// Throws std::invalid_argument where there are no parts, or no such part.
Block checked_block(std::size_t n, std::size_t n_parts, std::size_t part) {
  if (part >= n_parts) {
    throw std::invalid_argument("part must be below n_parts = " + std::to_string(n_parts) +
                                ": got " + std::to_string(part));
  }
  return block_of(n, n_parts, part);
}

}  // namespace

void bind_comm(py::module_& module) {
  py::module_ comm = module.def_submodule("comm", "Ranks, and how replicas are split over them.");
  // NOLINTNEXTLINE(performance-unnecessary-value-param): pybind11 wants this type
  py::register_exception_translator([](std::exception_ptr error) {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const CommunicationError& gone) {
      const auto type = py::module_::import("numpygeons.errors").attr("CommunicationError");
      py::set_error(type, gone.what());
    }
  });

  py::class_<Communicator, std::shared_ptr<Communicator>>(comm, "Communicator",
                                                          "The processes of one run.")
      .def_property_readonly("rank", &Communicator::rank)
      .def_property_readonly("size", &Communicator::size)
      .def("allgather", &allgather, "own"_a,
           "The blocks of all ranks, shape (size, n); waits for every rank.");
  py::class_<LocalCommunicator, Communicator, std::shared_ptr<LocalCommunicator>>(
      comm, "LocalCommunicator", "One process by itself.")
      .def(py::init<>());
  py::class_<MpiCommunicator, Communicator, std::shared_ptr<MpiCommunicator>>(
      comm, "MpiCommunicator", "The ranks that a launcher of MPI started.")
      .def("broadcast", &broadcast, py::arg("bytes").noconvert(), "root"_a,
           "Overwrites the bytes with those of the root; every rank brings as many.")
      .def("leave", &MpiCommunicator::leave,
           "Tells the others that this rank takes part no longer.")
      .def(
          "processes",
          [](const MpiCommunicator& self) {
            std::vector<std::tuple<std::uint64_t, std::int64_t, std::string>> all;
            for (const Peer& peer : self.peers()) {
              all.emplace_back(peer.machine, peer.pid, peer.host.data());
            }
            return all;
          },
          "Machine, process and host of each rank; equal machines see each other's processes.")
      .def_property_readonly("broken", &MpiCommunicator::broken,
                             "Why no more can be said, or nothing.");
  comm.def(
      "mpi_communicator",
      [](std::uint64_t communicator, std::uint64_t byte, std::size_t handle_bytes,
         const std::string& library) {
        const MpiFunctions functions = mpi_functions(library);
        const py::gil_scoped_release waiting;
        return mpi_communicator(functions, {communicator, byte, handle_bytes}, &raise_interrupts);
      },
      "communicator"_a, "byte"_a, "handle_bytes"_a, "library"_a,
      "The ranks of an MPI communicator, given as handles; every rank calls it.");

  comm.def(
      "block_of",
      [](std::size_t n, std::size_t n_parts, std::size_t part) {
        const Block block = checked_block(n, n_parts, part);
        return std::tuple(block.first, block.count);
      },
      "n"_a, "n_parts"_a, "part"_a, "First index and length of one part of n indices.");
  comm.def(
      "largest_block",
      [](std::size_t n, std::size_t n_parts) {
        checked_block(n, n_parts, 0);
        return largest_block(n, n_parts);
      },
      "n"_a, "n_parts"_a, "Length of the longest part.");
}

}  // namespace numpygeons::bindings
