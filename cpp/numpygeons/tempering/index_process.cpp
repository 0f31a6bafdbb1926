/// Applies the swap decisions of a scan to the permutation of chains and replicas.
#include "numpygeons/tempering/index_process.hpp"

#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/base/counts.hpp"
#include "numpygeons/tempering/deo.hpp"
#include "numpygeons/tempering/swap_rule.hpp"

namespace numpygeons {

IndexProcess::IndexProcess(std::size_t n_chains)
    : chains_(checked_count("n_chains", n_chains, 1, most_chains)), replicas_(n_chains) {
  for (std::size_t i = 0; i < n_chains; ++i) {
    chains_[i] = Chain{static_cast<std::uint32_t>(i)};
    replicas_[i] = Replica{static_cast<std::uint32_t>(i)};
  }
}

IndexProcess::IndexProcess(std::span<const Chain> chains)
    : chains_(chains.begin(), chains.end()), replicas_(chains.size()) {
  if (chains.empty()) throw std::invalid_argument("chains must not be empty");
  std::vector<bool> is_taken(chains.size());
  for (std::size_t i = 0; i < chains.size(); ++i) {
    const std::size_t chain = chains[i].value;
    if (chain >= chains.size() || is_taken[chain])
      throw std::invalid_argument("chains must be a permutation of 0, ..., " +
                                  std::to_string(chains.size() - 1) + ": chains[" +
                                  std::to_string(i) + "] = " + std::to_string(chain) +
                                  (chain >= chains.size() ? " is too large" : " occurs twice"));
    is_taken[chain] = true;
    replicas_[chain] = Replica{static_cast<std::uint32_t>(i)};
  }
}

std::size_t IndexProcess::apply_swaps(std::uint64_t scan, std::span<const double> acceptances,
                                      std::span<const double> uniforms) {
  const std::size_t n_pairs = n_chains() - 1;
  if (acceptances.size() != n_pairs || uniforms.size() != n_pairs)
    throw std::invalid_argument("acceptances and uniforms must have one entry per pair of " +
                                std::to_string(n_chains()) + " chains, " + std::to_string(n_pairs) +
                                ", got " + std::to_string(acceptances.size()) + " and " +
                                std::to_string(uniforms.size()));
  std::size_t n_swaps = 0;
  for (std::size_t c = 0; c < n_pairs; ++c) {
    const Chain lower{static_cast<std::uint32_t>(c)};
    const Chain upper = deo_partner(lower, scan, n_chains());
    if (upper <= lower || !accepts_swap(uniforms[c], acceptances[c])) continue;
    std::swap(replicas_[lower.value], replicas_[upper.value]);
    chains_[replicas_[lower.value].value] = lower;
    chains_[replicas_[upper.value].value] = upper;
    ++n_swaps;
  }
  return n_swaps;
}

}  // namespace numpygeons
