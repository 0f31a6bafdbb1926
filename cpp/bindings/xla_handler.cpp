/// Calls Coordinator::scan and Coordinator::prepare from inside a compiled program, through XLA's
/// typed foreign function interface. Python is not involved and no lock is held.
#include "xla_handler.hpp"

#include <bit>
#include <cstdint>
#include <exception>
#include <utility>

#include "numpygeons/engine/coordinator.hpp"
#include "xla/ffi/api/ffi.h"

namespace numpygeons::bindings {

namespace {

namespace ffi = xla::ffi;

template <ffi::DataType type>
auto as_span(ffi::Buffer<type>& buffer) {
  return std::span(buffer.typed_data(), buffer.element_count());
}

std::uint64_t joined(const std::uint32_t* halves) {
  return halves[0] | (static_cast<std::uint64_t>(halves[1]) << 32);
}

/// Operands: the coordinator's address in two halves (an attribute would become part of the
/// program and of its cache key) and the worker's number. Results: what the next scan needs.
template <ffi::DataType type>
ffi::Error prepare(ffi::Buffer<ffi::U32> handle, ffi::ResultBuffer<ffi::S32> reference_draw,
                   ffi::ResultBuffer<ffi::S32> chains, ffi::ResultBuffer<type> normals,
                   ffi::ResultBuffer<type> uniforms, ffi::ResultBuffer<ffi::U32> keys,
                   ffi::ResultBuffer<type> proposals, ffi::ResultBuffer<type> proposal_logs,
                   ffi::ResultBuffer<ffi::S32> proposal_components) {
  const auto& coordinator = *std::bit_cast<const Coordinator*>(joined(handle.typed_data()));
  const NextScan<ffi::NativeType<type>> next{
      as_span(*reference_draw), as_span(*chains),
      as_span(*normals),        as_span(*uniforms),
      as_span(*keys),           as_span(*proposals),
      as_span(*proposal_logs),  as_span(*proposal_components)};
  try {
    coordinator.prepare(handle.typed_data()[2], next);
  } catch (const std::exception& error) {
    return ffi::Error::Internal(error.what());
  }
  return ffi::Error::Success();
}

/// Operands: those of `prepare`, then what was explored. Results: whether to go on, then what the
/// next scan needs.
template <ffi::DataType type>
ffi::Error scan(ffi::Buffer<ffi::U32> handle, ffi::Buffer<type> x, ffi::Buffer<type> log_reference,
                ffi::Buffer<type> v, ffi::Buffer<type> statistics,
                ffi::ResultBuffer<ffi::PRED> go_on, ffi::ResultBuffer<ffi::S32> reference_draw,
                ffi::ResultBuffer<ffi::S32> chains, ffi::ResultBuffer<type> normals,
                ffi::ResultBuffer<type> uniforms, ffi::ResultBuffer<ffi::U32> keys,
                ffi::ResultBuffer<type> proposals, ffi::ResultBuffer<type> proposal_logs,
                ffi::ResultBuffer<ffi::S32> proposal_components) {
  using Real = ffi::NativeType<type>;
  auto& coordinator = *std::bit_cast<Coordinator*>(joined(handle.typed_data()));
  const std::size_t worker = handle.typed_data()[2];
  const Explored<Real> explored{as_span(x), as_span(log_reference), as_span(v),
                                as_span(statistics)};
  const NextScan<Real> next{as_span(*reference_draw), as_span(*chains),
                            as_span(*normals),        as_span(*uniforms),
                            as_span(*keys),           as_span(*proposals),
                            as_span(*proposal_logs),  as_span(*proposal_components)};
  go_on->typed_data()[0] = coordinator.scan(worker, explored, next);
  return ffi::Error::Success();
}

template <ffi::DataType type, class Binding>
auto with_next_scan(Binding binding) {
  return std::move(binding)
      .template Ret<ffi::Buffer<ffi::S32>>()
      .template Ret<ffi::Buffer<ffi::S32>>()
      .template Ret<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<ffi::U32>>()
      .template Ret<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<type>>()
      .template Ret<ffi::Buffer<ffi::S32>>();
}

template <ffi::DataType type>
auto binding_of_prepare() {
  return with_next_scan<type>(ffi::Ffi::Bind().Arg<ffi::Buffer<ffi::U32>>());
}

template <ffi::DataType type>
auto binding_of_scan() {
  return with_next_scan<type>(ffi::Ffi::Bind()
                                  .template Arg<ffi::Buffer<ffi::U32>>()
                                  .template Arg<ffi::Buffer<type>>()
                                  .template Arg<ffi::Buffer<type>>()
                                  .template Arg<ffi::Buffer<type>>()
                                  .template Arg<ffi::Buffer<type>>()
                                  .template Ret<ffi::Buffer<ffi::PRED>>());
}

XLA_FFI_DEFINE_HANDLER(prepare_f32, prepare<ffi::F32>, binding_of_prepare<ffi::F32>());
XLA_FFI_DEFINE_HANDLER(prepare_f64, prepare<ffi::F64>, binding_of_prepare<ffi::F64>());
XLA_FFI_DEFINE_HANDLER(scan_f32, scan<ffi::F32>, binding_of_scan<ffi::F32>());
XLA_FFI_DEFINE_HANDLER(scan_f64, scan<ffi::F64>, binding_of_scan<ffi::F64>());

pybind11::capsule capsule(XLA_FFI_Handler* handler) {
  return pybind11::capsule(std::bit_cast<void*>(handler), "xla._CUSTOM_CALL_TARGET");
}

}  // namespace

pybind11::capsule xla_prepare_handler_f32() { return capsule(prepare_f32); }
pybind11::capsule xla_prepare_handler_f64() { return capsule(prepare_f64); }
pybind11::capsule xla_scan_handler_f32() { return capsule(scan_f32); }
pybind11::capsule xla_scan_handler_f64() { return capsule(scan_f64); }

std::pair<int, int> xla_interface_version() { return {XLA_FFI_API_MAJOR, XLA_FFI_API_MINOR}; }

}  // namespace numpygeons::bindings
