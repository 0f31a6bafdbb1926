/// Calls Coordinator::scan and Coordinator::prepare from inside a compiled program, through XLA's
/// typed foreign function interface. Python is not involved and no lock is held.
#include "xla_handler.hpp"

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <tuple>
#include <type_traits>
#include <utility>

#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/engine/scan_arrays.hpp"
#include "xla/ffi/api/ffi.h"

namespace numpygeons::bindings {

namespace {

namespace ffi = xla::ffi;

template <class T>
constexpr ffi::DataType type_of = [] {
  if constexpr (std::is_same_v<T, double>) return ffi::F64;
  if constexpr (std::is_same_v<T, float>) return ffi::F32;
  if constexpr (std::is_same_v<T, std::int32_t>) return ffi::S32;
  if constexpr (std::is_same_v<T, std::uint32_t>) return ffi::U32;
}();

template <class T>
using Operand = ffi::Buffer<type_of<T>>;
template <class T>
using Result = ffi::Result<ffi::Buffer<type_of<T>>>;
using Handle = ffi::Buffer<ffi::U32>;

/// The spans of buffers that come in the order of the fields.
template <class Arrays, class... Buffers>
Arrays spans_of(Buffers&... buffers) {
  Arrays arrays;
  for_each_field<Arrays>(
      [&](const auto& field, auto& buffer) {
        arrays.*field.array = std::span(buffer.typed_data(), buffer.element_count());
      },
      std::tie(buffers...));
  return arrays;
}

/// The coordinator whose address comes in two halves (an attribute would become part of the program
/// and of its cache key), and the worker's number after it.
Coordinator& coordinator_of(const Handle& handle) {
  const std::uint32_t* halves = handle.typed_data();
  return *std::bit_cast<Coordinator*>(halves[0] | (static_cast<std::uint64_t>(halves[1]) << 32));
}
std::size_t worker_of(const Handle& handle) { return handle.typed_data()[2]; }

/// The functions that a compiled program calls. Their signatures, from which XLA learns of operands
/// and results, follow from the fields of Explored and NextScan: numbers of types `In` and `Out`.
template <class Real, class In, class Out>
struct Handlers;

template <class Real, class... In, class... Out>
struct Handlers<Real, std::tuple<In...>, std::tuple<Out...>> {
  /// Results: what the next scan needs.
  static ffi::Error prepare(Handle handle, Result<Out>... next) {
    try {
      coordinator_of(handle).prepare(worker_of(handle), spans_of<NextScan<Real>>(*next...));
    } catch (const std::exception& error) {
      return ffi::Error::Internal(error.what());
    }
    return ffi::Error::Success();
  }

  /// Results: whether to go on, then what the next scan needs.
  static ffi::Error scan(Handle handle, Operand<In>... explored,
                         ffi::ResultBuffer<ffi::PRED> goes_on, Result<Out>... next) {
    goes_on->typed_data()[0] =
        coordinator_of(handle).scan(worker_of(handle), spans_of<Explored<Real>>(explored...),
                                    spans_of<NextScan<Real>>(*next...));
    return ffi::Error::Success();
  }
};

template <auto function>
XLA_FFI_Error* handler(XLA_FFI_CallFrame* frame) {
  static auto* const bound = ffi::Ffi::BindTo(function).release();
  return bound->Call(frame);
}

template <class Real>
void add_handlers(pybind11::dict& handlers) {
  using Own = Handlers<Real, TupleOf<Explored<Real>, std::type_identity_t>,
                       TupleOf<NextScan<Real>, std::type_identity_t>>;
  const auto add = [&](const char* what, XLA_FFI_Handler* function) {
    const pybind11::str name =
        pybind11::str("numpygeons_{}_{}").format(what, pybind11::dtype::of<Real>().attr("name"));
    handlers[name] =
        pybind11::capsule(reinterpret_cast<void*>(function), "xla._CUSTOM_CALL_TARGET");
  };
  add("prepare", &handler<&Own::prepare>);
  add("scan", &handler<&Own::scan>);
}

}  // namespace

pybind11::dict registrations() {
  pybind11::dict handlers;
  add_handlers<float>(handlers);
  add_handlers<double>(handlers);
  return handlers;
}

std::pair<int, int> xla_interface_version() { return {XLA_FFI_API_MAJOR, XLA_FFI_API_MINOR}; }

}  // namespace numpygeons::bindings
