/// Hands out chains, randomness and proposals of the next scan: members of the coordinator.
#include <cstdint>

#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/math/portable_log.hpp"
#include "numpygeons/random/streams.hpp"

namespace numpygeons {

template <class Real>
void Coordinator::draw_noise(std::uint64_t scan, Replica replica, std::size_t place,
                             const ScanNoise<Real>& noise) const {
  const std::size_t n_normals = settings_.n_normals, n_uniforms = settings_.n_uniforms;
  Stream stream({settings_.seed, Purpose::explore, replica, data_->round, scan});
  stream.fill_normals(noise.normals.subspan(place * n_normals, n_normals));
  stream.fill_uniforms(noise.uniforms.subspan(place * n_uniforms, n_uniforms));
  if (settings_.hands_out_keys) {
    const auto key = jax_key({settings_.seed, Purpose::jax_key, replica, data_->round, scan});
    noise.keys[2 * place] = key[0];
    noise.keys[2 * place + 1] = key[1];
  }
}

template <class Real>
void Coordinator::propose(std::uint64_t scan, Chain chain, std::size_t place,
                          const ScanNoise<Real>& noise) const {
  const std::size_t d = settings_.dimension;
  std::size_t first = place * settings_.n_proposals;
  for (std::uint32_t source = 0; source < proposals_.size(); ++source) {
    const std::size_t n = proposals_[source].n_most();
    const ProposalRows<Real> rows{
        noise.proposals.subspan(first * d, n * d),
        noise.proposal_logs.subspan(n_proposal_logs * first, n_proposal_logs * n),
        noise.proposal_components.subspan(first, n)};
    proposals_[source].draw(settings_.seed, source, data_->round, scan, chain, rows);
    first += n;
  }
}

double Coordinator::log_swap_uniform(std::uint64_t scan, Chain lower) const {
  return portable_log(swap_uniform(settings_.seed, data_->round, scan, lower));
}

template <class Real>
void Coordinator::prepare(std::size_t worker, const NextScan<Real>& next) const {
  next.reference_draw[0] = static_cast<std::int32_t>(scan_ + reference_shift_);
  const Block own = blocks_[worker];
  for (std::size_t row = 0; row < own.count; ++row) {
    const Replica replica{static_cast<std::uint32_t>(own.first + row)};
    const Chain chain = index_process_.chain_of(replica);
    next.chains[row] = static_cast<std::int32_t>(chain.value);
    draw_noise(scan_ + 1, replica, row, next);
    propose(scan_ + 1, chain, row, next);
  }
}

template void Coordinator::prepare(std::size_t, const NextScan<float>&) const;
template void Coordinator::prepare(std::size_t, const NextScan<double>&) const;
template void Coordinator::draw_noise(std::uint64_t, Replica, std::size_t,
                                      const ScanNoise<float>&) const;
template void Coordinator::draw_noise(std::uint64_t, Replica, std::size_t,
                                      const ScanNoise<double>&) const;
template void Coordinator::propose(std::uint64_t, Chain, std::size_t,
                                   const ScanNoise<float>&) const;
template void Coordinator::propose(std::uint64_t, Chain, std::size_t,
                                   const ScanNoise<double>&) const;

}  // namespace numpygeons
