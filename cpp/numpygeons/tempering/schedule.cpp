/// Checks schedules and spaces them equally.
#include "numpygeons/tempering/schedule.hpp"

#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/base/counts.hpp"
#include "numpygeons/base/to_text.hpp"

namespace numpygeons {
namespace {

std::string entry(std::size_t i, double beta) {
  return "betas[" + std::to_string(i) + "] = " + to_text(beta);
}

}  // namespace

Schedule::Schedule(std::vector<double> betas) : betas_(std::move(betas)) {
  if (betas_.empty()) throw std::invalid_argument("schedule must have at least one beta, got none");
  for (std::size_t i = 0; i < betas_.size(); ++i)
    if (!std::isfinite(betas_[i]))
      throw std::invalid_argument("schedule must be finite: got " + entry(i, betas_[i]));
  if (betas_.front() < 0.0)
    throw std::invalid_argument("schedule must not be negative: got " + entry(0, betas_.front()));
  for (std::size_t i = 1; i < betas_.size(); ++i)
    if (betas_[i] <= betas_[i - 1])
      throw std::invalid_argument("schedule must increase strictly: " + entry(i, betas_[i]) +
                                  " does not exceed " + entry(i - 1, betas_[i - 1]));
  if (betas_.back() != 1.0)
    throw std::invalid_argument("schedule must end at the target, beta = 1: got " +
                                entry(betas_.size() - 1, betas_.back()));
}

Schedule Schedule::equally_spaced(std::size_t n_chains) {
  check_count("n_chains", n_chains, 1, most_chains);
  std::vector<double> betas(n_chains, 1.0);
  for (std::size_t i = 0; i + 1 < n_chains; ++i)
    betas[i] = static_cast<double>(i) / static_cast<double>(n_chains - 1);
  return Schedule(std::move(betas));
}

}  // namespace numpygeons
