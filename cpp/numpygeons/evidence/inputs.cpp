/// Checks what enters the evidence layer.
#include "numpygeons/evidence/inputs.hpp"

#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace numpygeons {

namespace {

template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw std::invalid_argument(message.str());
}

}  // namespace

double unfloored(double log_ratio) noexcept {
  return log_ratio < -1e200 ? minus_infinity : log_ratio;
}

void check_log_ratios(MatrixView<const double> v, std::span<const double> betas) {
  if (v.n_rows == 0) refuse("v has no scans: pass one row per scan, at least one");
  if (betas.empty() || v.n_columns != betas.size()) {
    refuse("v has ", v.n_columns, " chains, betas ", betas.size(),
           ": pass one column of v per beta, at least one");
  }
  for (std::size_t i = 0; i < betas.size(); ++i) {
    if (!(betas[i] >= 0.0)) refuse("betas[", i, "] = ", betas[i], " is not in [0, 1]");
    if (i > 0 && !(betas[i] > betas[i - 1])) {
      refuse("schedule must increase strictly: betas[", i, "] = ", betas[i],
             " does not exceed betas[", i - 1, "] = ", betas[i - 1]);
    }
  }
  if (betas.back() != 1.0) refuse("schedule must end at 1: betas[-1] = ", betas.back());
  for (std::size_t t = 0; t < v.size(); ++t) {
    if (v.data[t] == std::numeric_limits<double>::infinity()) {
      const std::size_t chain = t % v.n_columns;
      refuse("log ratio is +inf at scan ", t / v.n_columns, ", chain ", chain, ", beta ",
             betas[chain], ": the target must be finite wherever the reference is");
    }
  }
}

void check_replicas(MatrixView<const std::uint32_t> replicas, std::size_t n_scans,
                    std::size_t n_chains) {
  if (replicas.n_rows != n_scans || replicas.n_columns != n_chains) {
    refuse("replicas has shape (", replicas.n_rows, ", ", replicas.n_columns, "), v has (", n_scans,
           ", ", n_chains, "): they must agree");
  }
  std::vector<std::size_t> last_seen(n_chains, 0);
  for (std::size_t s = 0; s < n_scans; ++s) {
    for (const std::uint32_t replica : replicas.row(s)) {
      if (replica >= n_chains || last_seen[replica] == s + 1) {
        refuse("replicas[", s, "] is not a permutation of 0 to ", n_chains - 1, ": replica ",
               replica, replica >= n_chains ? " does not exist" : " is there twice");
      }
      last_seen[replica] = s + 1;
    }
  }
}

}  // namespace numpygeons
