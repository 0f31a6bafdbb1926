/// Declares one binding function per layer.
#pragma once

#include <pybind11/pybind11.h>

namespace numpygeons::bindings {

void bind_math(pybind11::module_& module);
void bind_random(pybind11::module_& module);
void bind_tempering(pybind11::module_& module);
void bind_evidence(pybind11::module_& module);
void bind_tuning(pybind11::module_& module);
void bind_comm(pybind11::module_& module);
void bind_engine(pybind11::module_& module);
void bind_round_data(const pybind11::module_& engine);  ///< called by bind_engine, on its submodule
void bind_replay(pybind11::module_& engine);            ///< likewise

}  // namespace numpygeons::bindings
