/// Implements the coordinator.
#include "numpygeons/engine/coordinator.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/base/counts.hpp"
#include "numpygeons/comm/local.hpp"
#include "numpygeons/tempering/deo.hpp"
#include "numpygeons/tempering/swap_rule.hpp"

namespace numpygeons {

Coordinator::Coordinator(const CoordinatorSettings& settings, std::shared_ptr<Communicator> ranks,
                         std::size_t n_workers)
    : settings_(checked(settings)),
      ranks_(ranks ? std::move(ranks) : std::make_shared<LocalCommunicator>()),
      exchange_(settings, ranks_),
      rendezvous_(checked_count("n_workers", n_workers, 1, most_chains)),
      randomness_(settings),
      recorder_(settings, exchange_.own()),
      index_process_(settings.n_chains),
      log_ratios_(settings.n_chains - 1),
      log_uniforms_(settings.n_chains - 1),
      explored_chains_(settings.n_chains),
      worker_error_(n_workers) {
  const Block own = exchange_.own();
  for (std::size_t w = 0; w < n_workers; ++w) {
    const Block part = block_of(own.count, n_workers, w);
    blocks_.push_back({own.first + part.first, part.count});
  }
}

void Coordinator::begin_round(std::uint32_t round, std::size_t n_scans, const Schedule& schedule,
                              std::span<const double> centre, std::span<const double> scale,
                              std::size_t real_bytes, std::size_t most_draws) {
  const std::size_t n = settings_.n_chains;
  check_count("n_scans", n_scans, 1, most_counted);
  check_count("real_bytes", real_bytes, 1, sizeof(double));
  check_count("most_draws", most_draws, 0, most_counted);
  if (schedule.betas().size() != n)
    throw std::invalid_argument("the schedule must have one beta per chain: got " +
                                std::to_string(schedule.betas().size()) + " betas for " +
                                std::to_string(n) + " chains");
  recorder_.begin_round(round, n_scans, centre, scale, real_bytes, most_draws);
  randomness_.begin_round(round);
  betas_.assign(schedule.betas().begin(), schedule.betas().end());
  n_scans_done_ = 0;
  stop_requested_ = worker_failed_ = stopped_ = failed_ = false;
  error_ = nullptr;
  std::ranges::fill(worker_error_, nullptr);
  begin_block(n_scans, 0);
}

void Coordinator::begin_block(std::size_t n_scans, std::size_t first) {
  const std::size_t n_done = recorder_.n_done();
  block_end_ = n_done + std::min(n_scans, recorder_.n_scans() - n_done);
  goes_on_ = n_done < block_end_;
  reference_shift_ = first - n_done;
}

void Coordinator::require_scan(std::size_t worker) const {
  if (worker >= n_workers())
    throw std::invalid_argument("there are " + std::to_string(n_workers()) +
                                " workers: got worker " + std::to_string(worker));
  if (!recorder_.has_round()) throw std::logic_error("no round has begun: call begin_round first");
}

void Coordinator::require_alone(const char* what) const {
  if (ranks_->size() != 1 || n_workers() != 1)
    throw std::logic_error(std::string(what) + " is for one worker of one rank: there are " +
                           std::to_string(n_workers()) + " of " + std::to_string(ranks_->size()));
  if (!recorder_.has_round())
    throw std::logic_error(std::string(what) + " belongs to a round: none has begun");
}

template <class Real>
void Coordinator::prepare(std::size_t worker, const NextScan<Real>& next) const {
  const std::size_t n_done = recorder_.n_done();
  next.reference_draw[0] = static_cast<std::int32_t>(n_done + reference_shift_);
  const Block own = blocks_[worker];
  for (std::size_t row = 0; row < own.count; ++row) {
    const Replica replica{static_cast<std::uint32_t>(own.first + row)};
    const Chain chain = index_process_.chain_of(replica);
    next.chains[row] = static_cast<std::int32_t>(chain.value);
    randomness_.draw<Real>(n_done + 1, replica, row, next);
    randomness_.propose<Real>(n_done + 1, chain, row, next);
  }
}

/// Tells all ranks how this one's replicas fared, and takes note of the gravest signal.
void Coordinator::exchange() {
  Signal own = Signal::go_on;
  if (stop_requested_.load(std::memory_order_relaxed)) own = Signal::stop;
  if (worker_failed_.load(std::memory_order_relaxed)) own = Signal::failed;
  const auto heard = exchange_.gather(own);
  stopped_ |= heard.stop;
  failed_ |= heard.failed;
}

/// Swaps after the scan just recorded.
void Coordinator::swap() {
  const std::size_t n = settings_.n_chains;
  const std::span<const double> v = recorder_.last_v();
  const std::uint64_t scan = recorder_.n_done();
  std::ranges::copy(index_process_.chains(), explored_chains_.begin());
  for (std::uint32_t c = 0; c + 1 < n; ++c) {
    if (deo_partner(Chain{c}, scan, n) != Chain{c + 1}) continue;
    log_ratios_[c] = linear_swap_log_ratio(betas_[c], betas_[c + 1], v[c], v[c + 1]);
    log_uniforms_[c] = randomness_.log_swap_uniform(scan, Chain{c});
  }
  (void)index_process_.apply_swaps(scan, log_ratios_, log_uniforms_);
}

/// Meets the other workers; the last one to come does what is done once per rank.
void Coordinator::meet() noexcept {
  rendezvous_.meet([this]() noexcept {
    try {
      exchange();
      if (!failed_) {
        recorder_.record(exchange_, index_process_, betas_);
        swap();
        n_scans_done_.store(recorder_.n_done(), std::memory_order_relaxed);
      }
    } catch (...) {
      error_ = std::current_exception();
      failed_ = true;
    }
    goes_on_ = !failed_ && !stopped_ && recorder_.n_done() < block_end_;
  });
}

template <class Real, class Then>
bool Coordinator::take(std::size_t worker, const Explored<Real>& explored,
                       const Then& then) noexcept {
  const Block own = blocks_[worker];
  const std::size_t d = settings_.dimension;
  exchange_.put(own, explored);
  meet();
  if (failed_) return false;
  try {
    for (std::size_t row = 0; row < own.count; ++row) {
      const Replica replica{static_cast<std::uint32_t>(own.first + row)};
      recorder_.keep_state<Real>(replica, explored_chains_[replica.value],
                                 explored.x.subspan(row * d, d),
                                 exchange_.of(replica).log_reference);
    }
    then();
    return goes_on_;
  } catch (...) {  // out of memory: the others hear of it in their next scan
    worker_error_[worker] = std::current_exception();
    fail(worker);
    return false;
  }
}

template <class Real>
bool Coordinator::take(std::size_t worker, const Explored<Real>& explored) noexcept {
  return take(worker, explored, [] {});
}

template <class Real>
bool Coordinator::scan(std::size_t worker, const Explored<Real>& explored,
                       const NextScan<Real>& next) noexcept {
  return take(worker, explored, [&] { prepare(worker, next); });
}

void Coordinator::fail(std::size_t /*worker*/) noexcept {
  worker_failed_ = true;
  if (goes_on_) meet();
}

void Coordinator::refuse(std::exception_ptr error) noexcept {
  error_ = std::move(error);
  failed_ = true;
  goes_on_ = false;
}

void Coordinator::rethrow() const {
  if (error_) std::rethrow_exception(error_);
  for (const std::exception_ptr& error : worker_error_)
    if (error) std::rethrow_exception(error);
}

UnfinishedRound Coordinator::unfinished() const {
  UnfinishedRound so_far = recorder_.unfinished(*ranks_);
  so_far.chains = chains();
  return so_far;
}

void Coordinator::resume(const UnfinishedRound& so_far) {
  IndexProcess places = index_process_of(so_far.chains);
  recorder_.resume(so_far, *ranks_);
  index_process_ = std::move(places);
  n_scans_done_ = recorder_.n_done();
  begin_block(recorder_.n_scans() - recorder_.n_done(), 0);
}

std::vector<std::uint32_t> Coordinator::chains() const {
  std::vector<std::uint32_t> chains;
  for (const Chain chain : index_process_.chains()) chains.push_back(chain.value);
  return chains;
}

void Coordinator::set_chains(std::span<const std::uint32_t> chains) {
  index_process_ = index_process_of(chains);
}

IndexProcess Coordinator::index_process_of(std::span<const std::uint32_t> chains) const {
  if (chains.size() != settings_.n_chains)
    throw std::invalid_argument("chains must name one chain per replica: got " +
                                std::to_string(chains.size()) + " for " +
                                std::to_string(settings_.n_chains) + " replicas");
  std::vector<Chain> by_replica;
  for (const std::uint32_t chain : chains) by_replica.push_back(Chain{chain});
  return IndexProcess(by_replica);
}

template void Coordinator::prepare(std::size_t, const NextScan<float>&) const;
template void Coordinator::prepare(std::size_t, const NextScan<double>&) const;
template bool Coordinator::take(std::size_t, const Explored<float>&) noexcept;
template bool Coordinator::take(std::size_t, const Explored<double>&) noexcept;
template bool Coordinator::scan(std::size_t, const Explored<float>&,
                                const NextScan<float>&) noexcept;
template bool Coordinator::scan(std::size_t, const Explored<double>&,
                                const NextScan<double>&) noexcept;

}  // namespace numpygeons
