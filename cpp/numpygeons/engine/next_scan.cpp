/// Hands out chains, randomness and proposals of the next scan: two members of the coordinator.
#include <cstdint>

#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/random/streams.hpp"

namespace numpygeons {

template <class Real>
void Coordinator::propose(std::size_t row, Chain chain, const NextScan<Real>& next) const {
  const std::size_t d = settings_.dimension;
  std::size_t place = row * settings_.n_proposals;
  for (std::uint32_t source = 0; source < proposals_.size(); ++source) {
    const std::size_t n = proposals_[source].n_most();
    const ProposalRows<Real> rows{next.proposals.subspan(place * d, n * d),
                                  next.proposal_logs.subspan(2 * place, 2 * n),
                                  next.proposal_components.subspan(place, n)};
    proposals_[source].draw(settings_.seed, source, data_->round, scan_ + 1, chain, rows);
    place += n;
  }
}

template <class Real>
void Coordinator::prepare(std::size_t worker, const NextScan<Real>& next) const {
  const std::size_t n_normals = settings_.n_normals, n_uniforms = settings_.n_uniforms;
  next.reference_draw[0] = static_cast<std::int32_t>(scan_ + reference_shift_);
  const Block own = blocks_[worker];
  for (std::size_t row = 0; row < own.count; ++row) {
    const Replica replica{static_cast<std::uint32_t>(own.first + row)};
    const Chain chain = index_process_.chain_of(replica);
    next.chains[row] = static_cast<std::int32_t>(chain.value);
    Stream stream({settings_.seed, Purpose::explore, replica, data_->round, scan_ + 1});
    stream.fill_normals(next.normals.subspan(row * n_normals, n_normals));
    stream.fill_uniforms(next.uniforms.subspan(row * n_uniforms, n_uniforms));
    if (settings_.hands_out_keys) {
      const auto key =
          jax_key({settings_.seed, Purpose::jax_key, replica, data_->round, scan_ + 1});
      next.keys[2 * row] = key[0];
      next.keys[2 * row + 1] = key[1];
    }
    propose(row, chain, next);
  }
}

template void Coordinator::prepare(std::size_t, const NextScan<float>&) const;
template void Coordinator::prepare(std::size_t, const NextScan<double>&) const;

}  // namespace numpygeons
