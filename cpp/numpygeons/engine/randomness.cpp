/// Implements the random numbers of scans.
#include "numpygeons/engine/randomness.hpp"

#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/math/portable_log.hpp"
#include "numpygeons/random/streams.hpp"

namespace numpygeons {

void Randomness::set_proposals(std::vector<Proposals> tables) {
  std::size_t n = 0;
  for (const Proposals& table : tables) {
    if (table.n_chains() != settings_.n_chains || table.dimension() != settings_.dimension)
      throw std::invalid_argument("proposals must be for " + std::to_string(settings_.n_chains) +
                                  " chains in dimension " + std::to_string(settings_.dimension) +
                                  ": got " + std::to_string(table.n_chains()) + " and " +
                                  std::to_string(table.dimension()));
    n += table.n_most();
  }
  if (n != settings_.n_proposals)
    throw std::invalid_argument("the explorer asked for " + std::to_string(settings_.n_proposals) +
                                " proposals: got tables for " + std::to_string(n));
  proposals_ = std::move(tables);
}

template <class Real>
void Randomness::draw(std::uint64_t scan, Replica replica, std::size_t row,
                      const ScanNoise<Real>& noise) const {
  const std::size_t n_normals = settings_.n_normals, n_uniforms = settings_.n_uniforms;
  Stream stream({settings_.seed, Purpose::explore, replica, round_, scan});
  stream.fill_normals(noise.normals.subspan(row * n_normals, n_normals));
  stream.fill_uniforms(noise.uniforms.subspan(row * n_uniforms, n_uniforms));
  if (settings_.hands_out_keys) {
    const auto key = jax_key({settings_.seed, Purpose::jax_key, replica, round_, scan});
    noise.keys[2 * row] = key[0];
    noise.keys[2 * row + 1] = key[1];
  }
}

template <class Real>
void Randomness::propose(std::uint64_t scan, Chain chain, std::size_t row,
                         const ScanNoise<Real>& noise) const {
  const std::size_t d = settings_.dimension;
  std::size_t first = row * settings_.n_proposals;
  for (std::uint32_t source = 0; source < proposals_.size(); ++source) {
    const std::size_t n = proposals_[source].n_most();
    const ProposalRows<Real> rows{
        noise.proposals.subspan(first * d, n * d),
        noise.proposal_logs.subspan(n_proposal_logs * first, n_proposal_logs * n),
        noise.proposal_components.subspan(first, n)};
    proposals_[source].draw(settings_.seed, source, round_, scan, chain, rows);
    first += n;
  }
}

double Randomness::log_swap_uniform(std::uint64_t scan, Chain lower) const {
  return portable_log(swap_uniform(settings_.seed, round_, scan, lower));
}

template void Randomness::draw(std::uint64_t, Replica, std::size_t, const ScanNoise<float>&) const;
template void Randomness::draw(std::uint64_t, Replica, std::size_t, const ScanNoise<double>&) const;
template void Randomness::propose(std::uint64_t, Chain, std::size_t, const ScanNoise<float>&) const;
template void Randomness::propose(std::uint64_t, Chain, std::size_t,
                                  const ScanNoise<double>&) const;

}  // namespace numpygeons
