/// Implements the coordinator.
#include "numpygeons/engine/coordinator.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/base/errors.hpp"
#include "numpygeons/random/streams.hpp"
#include "numpygeons/tempering/deo.hpp"
#include "numpygeons/tempering/swap_rule.hpp"

namespace numpygeons {

namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

std::string shortest(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", number);
  return text;
}

}  // namespace

Coordinator::Coordinator(const CoordinatorSettings& settings)
    : settings_(settings),
      index_process_(settings.n_chains),
      round_trips_(settings.n_chains),
      acceptances_(settings.n_chains - 1),
      uniforms_(settings.n_chains - 1) {
  if (settings.dimension == 0) throw std::invalid_argument("dimension must be at least 1: got 0");
}

void Coordinator::begin_round(std::uint32_t round, std::size_t n_scans, const Schedule& schedule,
                              std::span<const double> centre, std::span<const double> scale,
                              std::size_t real_bytes, std::size_t most_draws) {
  const std::size_t n = settings_.n_chains, d = settings_.dimension;
  if (schedule.betas().size() != n)
    throw std::invalid_argument("the schedule must have one beta per chain: got " +
                                std::to_string(schedule.betas().size()) + " betas for " +
                                std::to_string(n) + " chains");
  if (settings_.records_moments && (centre.size() != n * d || scale.size() != n * d))
    throw std::invalid_argument("centre and scale must hold n_chains x dimension numbers, " +
                                std::to_string(n * d) + ": got " + std::to_string(centre.size()) +
                                " and " + std::to_string(scale.size()));
  betas_.assign(schedule.betas().begin(), schedule.betas().end());
  round_trips_.start_round();
  moments_.clear();
  if (settings_.records_moments)
    for (std::size_t c = 0; c < n; ++c)
      moments_.emplace_back(centre.subspan(c * d, d), scale.subspan(c * d, d));
  data_ = std::make_shared<RoundData>();
  data_->round = round;
  data_->n_scans = n_scans;
  data_->n_chains = n;
  data_->dimension = d;
  data_->n_statistics = settings_.n_statistics;
  data_->v.resize(n_scans * n);
  data_->replicas.resize(n_scans * n);
  data_->statistic_sums.assign(n * settings_.n_statistics, 0.0);
  if (const std::size_t most = settings_.n_snapshots; most > 0) {
    data_->snapshot_stride = (n_scans + most - 1) / most;
    data_->snapshots.reserve(n_scans / data_->snapshot_stride * n * d);
  }
  real_bytes_ = real_bytes;
  most_draws_ = most_draws;
  (void)take_draws();  // empties, and reserves what the round needs
  n_scans_ = n_scans;
  scan_ = 0;
  n_scans_done_ = 0;
  stop_requested_ = false;
  error_ = nullptr;
}

void Coordinator::set_proposals(std::vector<Proposals> tables) {
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
void Coordinator::propose(Replica replica, Chain chain, const NextScan<Real>& next) const {
  const std::size_t d = settings_.dimension;
  std::size_t row = replica.value * settings_.n_proposals;
  for (std::uint32_t source = 0; source < proposals_.size(); ++source) {
    const std::size_t n = proposals_[source].n_most();
    const ProposalRows<Real> rows{next.proposals.subspan(row * d, n * d),
                                  next.proposal_logs.subspan(2 * row, 2 * n),
                                  next.proposal_components.subspan(row, n)};
    proposals_[source].draw(settings_.seed, source, data_->round, scan_ + 1, chain, rows);
    row += n;
  }
}

template <class Real>
void Coordinator::prepare(const NextScan<Real>& next) const {
  const std::size_t n_normals = settings_.n_normals, n_uniforms = settings_.n_uniforms;
  for (std::uint32_t r = 0; r < settings_.n_chains; ++r) {
    const Chain chain = index_process_.chain_of(Replica{r});
    next.chains[r] = static_cast<std::int32_t>(chain.value);
    Stream stream({settings_.seed, Purpose::explore, r, data_->round, scan_ + 1});
    stream.fill_normals(next.normals.subspan(r * n_normals, n_normals));
    stream.fill_uniforms(next.uniforms.subspan(r * n_uniforms, n_uniforms));
    if (settings_.hands_out_keys) {
      const auto key =
          jax_key({settings_.seed, Purpose::jax_key, Replica{r}, data_->round, scan_ + 1});
      next.keys[2 * r] = key[0];
      next.keys[2 * r + 1] = key[1];
    }
    propose(Replica{r}, chain, next);
  }
}

template <class Real>
void Coordinator::record(const Explored<Real>& explored) {
  const std::size_t n = settings_.n_chains, d = settings_.dimension;
  const std::size_t n_statistics = settings_.n_statistics;
  const std::size_t stride = data_->snapshot_stride;
  const bool keeps = stride > 0 && (scan_ + 1) % stride == 0;
  double* const v_row = data_->v.data() + scan_ * n;
  std::uint32_t* const replica_row = data_->replicas.data() + scan_ * n;
  for (std::uint32_t c = 0; c < n; ++c) {
    const Replica replica = index_process_.replica_at(Chain{c});
    const std::size_t r = replica.value;
    double v = static_cast<double>(explored.v[r]);
    if (std::isnan(v)) v = minus_infinity;
    if (!std::isfinite(v)) {
      if (v > 0) fail("V = log target - log reference is +inf", replica, Chain{c});
      if (betas_[c] > 0)
        fail("the explorer returned a state of likelihood zero", replica, Chain{c});
      if (data_->n_zero_likelihood++ == 0)
        data_->first_zero_likelihood = FirstZeroLikelihood{replica, Chain{c}, betas_[c], scan_ + 1};
    }
    const double log_reference = static_cast<double>(explored.log_reference[r]);
    if (!std::isfinite(log_reference))
      fail("the log density of the reference is not finite", replica, Chain{c});
    v_row[c] = v;
    replica_row[c] = replica.value;
    for (std::size_t k = 0; k < n_statistics; ++k)
      data_->statistic_sums[c * n_statistics + k] +=
          static_cast<double>(explored.statistics[r * n_statistics + k]);
    const auto x = explored.x.subspan(r * d, d);
    if (keeps) data_->snapshots.insert(data_->snapshots.end(), x.begin(), x.end());
    if (settings_.records_moments) moments_[c].template add<Real>(x);
    if (settings_.records_draws && c + 1 == n) {
      const auto bytes = std::as_bytes(x);
      draws_.x.insert(draws_.x.end(), bytes.begin(), bytes.end());
      draws_.log_reference.push_back(log_reference);
    }
  }
}

void Coordinator::swap() {
  const std::size_t n = settings_.n_chains;
  const double* const v = data_->v.data() + scan_ * n;
  const std::uint64_t scan = scan_ + 1;
  round_trips_.record(index_process_.chains());
  for (std::uint32_t c = 0; c + 1 < n; ++c) {
    if (deo_partner(Chain{c}, scan, n) != Chain{c + 1}) continue;
    acceptances_[c] = linear_swap_acceptance(betas_[c], betas_[c + 1], v[c], v[c + 1]);
    uniforms_[c] = swap_uniform(settings_.seed, data_->round, scan, Chain{c});
  }
  (void)index_process_.apply_swaps(scan, acceptances_, uniforms_);
}

template <class Real>
bool Coordinator::scan(const Explored<Real>& explored, const NextScan<Real>& next) noexcept {
  try {
    record(explored);
    swap();
    ++scan_;
    n_scans_done_.store(scan_, std::memory_order_relaxed);
    prepare(next);
    return scan_ < n_scans_ && !stop_requested();
  } catch (...) {
    error_ = std::current_exception();
    return false;
  }
}

Draws Coordinator::take_draws() {
  Draws taken;
  taken.x.reserve(most_draws_ * settings_.dimension * real_bytes_);
  taken.log_reference.reserve(most_draws_);
  std::swap(taken, draws_);
  return taken;
}

void Coordinator::rethrow() const {
  if (error_) std::rethrow_exception(error_);
}

std::shared_ptr<RoundData> Coordinator::end_round() {
  if (!data_ || scan_ != n_scans_)
    throw std::logic_error("the round is not complete: " + std::to_string(scan_) + " of " +
                           std::to_string(n_scans_) + " scans are done");
  data_->n_restarts = round_trips_.n_restarts();
  data_->n_round_trips = round_trips_.n_round_trips();
  for (const ExactMoments& chain : moments_) data_->moments.push_back(chain.moments());
  return std::move(data_);
}

std::vector<std::uint32_t> Coordinator::chains() const {
  std::vector<std::uint32_t> chains(settings_.n_chains);
  for (std::uint32_t r = 0; r < chains.size(); ++r)
    chains[r] = index_process_.chain_of(Replica{r}).value;
  return chains;
}

void Coordinator::set_chains(std::span<const std::uint32_t> chains) {
  if (chains.size() != settings_.n_chains)
    throw std::invalid_argument("chains must name one chain per replica: got " +
                                std::to_string(chains.size()) + " for " +
                                std::to_string(settings_.n_chains) + " replicas");
  std::vector<Chain> by_replica;
  for (const std::uint32_t chain : chains) by_replica.push_back(Chain{chain});
  index_process_ = IndexProcess(by_replica);
}

void Coordinator::fail(const char* what, Replica replica, Chain chain) const {
  throw NumericalError(std::string(what) + ": replica " + std::to_string(replica.value) +
                       ", chain " + std::to_string(chain.value) + ", beta " +
                       shortest(betas_[chain.value]) + ", round " + std::to_string(data_->round) +
                       ", scan " + std::to_string(scan_ + 1));
}

template void Coordinator::prepare(const NextScan<float>&) const;
template void Coordinator::prepare(const NextScan<double>&) const;
template bool Coordinator::scan(const Explored<float>&, const NextScan<float>&) noexcept;
template bool Coordinator::scan(const Explored<double>&, const NextScan<double>&) noexcept;

}  // namespace numpygeons
