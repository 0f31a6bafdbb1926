/// Implements the coordinator.
#include "numpygeons/engine/coordinator.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/base/counts.hpp"
#include "numpygeons/base/errors.hpp"
#include "numpygeons/base/log_ratio.hpp"
#include "numpygeons/comm/local.hpp"
#include "numpygeons/random/streams.hpp"
#include "numpygeons/tempering/deo.hpp"
#include "numpygeons/tempering/swap_rule.hpp"

namespace numpygeons {

namespace {

std::string shortest(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", number);
  return text;
}

}  // namespace

Coordinator::Coordinator(const CoordinatorSettings& settings, std::shared_ptr<Communicator> ranks,
                         std::size_t n_workers)
    : settings_(checked(settings)),
      ranks_(ranks ? std::move(ranks) : std::make_shared<LocalCommunicator>()),
      own_(block_of(settings.n_chains, ranks_->size(), ranks_->rank())),
      rendezvous_(checked_count("n_workers", n_workers, 1, most_chains)),
      index_process_(settings.n_chains),
      round_trips_(settings.n_chains),
      visits_({.n_chains = settings.n_chains,
               .dimension = settings.dimension,
               .n_snapshots = settings.n_snapshots,
               .keeps_draws = settings.records_draws,
               .keeps_moments = settings.records_moments},
              own_),
      log_ratios_(settings.n_chains - 1),
      log_uniforms_(settings.n_chains - 1),
      explored_chains_(settings.n_chains),
      worker_error_(n_workers) {
  for (std::size_t w = 0; w < n_workers; ++w) {
    const Block part = block_of(own_.count, n_workers, w);
    blocks_.push_back({own_.first + part.first, part.count});
  }
  const std::size_t n = settings.n_chains, most = largest_block(n, ranks_->size());
  const std::size_t message = 1 + most * row_width();
  own_rows_.resize(message);
  all_rows_.resize(message * ranks_->size());
  for (std::size_t rank = 0; rank < ranks_->size(); ++rank) {
    const std::size_t count = block_of(n, ranks_->size(), rank).count;
    for (std::size_t i = 0; i < count; ++i) places_.push_back(rank * message + 1 + i * row_width());
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
  visits_.begin_round(n_scans, centre, scale, real_bytes, most_draws);
  betas_.assign(schedule.betas().begin(), schedule.betas().end());
  round_trips_.start_round();
  data_ = std::make_shared<RoundData>();
  data_->round = round;
  data_->n_scans = n_scans;
  data_->n_chains = n;
  data_->dimension = settings_.dimension;
  data_->n_statistics = settings_.n_statistics;
  data_->v.resize(n_scans * n);
  data_->replicas.resize(n_scans * n);
  data_->statistic_sums.assign(n * settings_.n_statistics, 0.0);
  data_->snapshot_stride = visits_.snapshot_stride();
  n_scans_ = n_scans;
  scan_ = n_draws_taken_ = 0;
  n_scans_done_ = 0;
  stop_requested_ = worker_failed_ = stopped_ = failed_ = false;
  error_ = nullptr;
  std::ranges::fill(worker_error_, nullptr);
  begin_block(n_scans, 0);
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

void Coordinator::begin_block(std::size_t n_scans, std::size_t first) {
  block_end_ = scan_ + std::min(n_scans, n_scans_ - scan_);
  goes_on_ = scan_ < block_end_;
  reference_shift_ = first - scan_;
}

const double* Coordinator::row_of(Replica replica) const noexcept {
  return all_rows_.data() + places_[replica.value];
}

void Coordinator::require_scan(std::size_t worker) const {
  if (worker >= n_workers())
    throw std::invalid_argument("there are " + std::to_string(n_workers()) +
                                " workers: got worker " + std::to_string(worker));
  if (!data_) throw std::logic_error("no round has begun: call begin_round first");
}

template <class Real>
void Coordinator::hand_in(std::size_t worker, const Explored<Real>& explored) noexcept {
  const Block own = blocks_[worker];
  const std::size_t n_statistics = settings_.n_statistics;
  double* row = own_rows_.data() + 1 + (own.first - own_.first) * row_width();
  for (std::size_t r = 0; r < own.count; ++r) {
    *row++ = static_cast<double>(explored.log_reference[r]);
    *row++ = static_cast<double>(explored.v[r]);
    for (std::size_t k = 0; k < n_statistics; ++k)
      *row++ = static_cast<double>(explored.statistics[r * n_statistics + k]);
  }
}

/// Tells all ranks how this one's replicas fared, and takes note of the gravest signal.
void Coordinator::exchange() {
  const bool stops = stop_requested_.load(std::memory_order_relaxed);
  const bool fails = worker_failed_.load(std::memory_order_relaxed);
  const Signal own = fails ? Signal::failed : (stops ? Signal::stop : Signal::go_on);
  own_rows_[0] = static_cast<double>(own);
  ranks_->allgather(std::as_bytes(std::span(own_rows_)),
                    std::as_writable_bytes(std::span(all_rows_)));
  for (std::size_t rank = 0; rank < ranks_->size(); ++rank) {
    const double signal = all_rows_[rank * own_rows_.size()];
    stopped_ |= signal == static_cast<double>(Signal::stop);
    failed_ |= signal == static_cast<double>(Signal::failed);
  }
}

void Coordinator::record() {
  const std::size_t n = settings_.n_chains, n_statistics = settings_.n_statistics;
  double* const v_row = data_->v.data() + scan_ * n;
  std::uint32_t* const replica_row = data_->replicas.data() + scan_ * n;
  for (std::uint32_t c = 0; c < n; ++c) {
    const Replica replica = index_process_.replica_at(Chain{c});
    const double* const row = row_of(replica);
    const double v = read_v(row[1]);
    if (!std::isfinite(v)) {
      if (v > 0) leave_no_way_on("V = log target - log reference is +inf", replica, Chain{c});
      if (betas_[c] > 0)
        leave_no_way_on("the explorer returned a state of likelihood zero", replica, Chain{c});
      if (data_->n_zero_likelihood++ == 0)
        data_->first_zero_likelihood = FirstZeroLikelihood{replica, Chain{c}, betas_[c], scan_ + 1};
    }
    if (!std::isfinite(row[0]))
      leave_no_way_on("the log density of the reference is not finite", replica, Chain{c});
    v_row[c] = v;
    replica_row[c] = replica.value;
    for (std::size_t k = 0; k < n_statistics; ++k)
      data_->statistic_sums[c * n_statistics + k] += row[2 + k];
  }
  if (visits_.is_kept(scan_)) visits_.make_room();
}

void Coordinator::swap() {
  const std::size_t n = settings_.n_chains;
  const double* const v = data_->v.data() + scan_ * n;
  const std::uint64_t scan = scan_ + 1;
  round_trips_.record(index_process_.chains());
  std::ranges::copy(index_process_.chains(), explored_chains_.begin());
  for (std::uint32_t c = 0; c + 1 < n; ++c) {
    if (deo_partner(Chain{c}, scan, n) != Chain{c + 1}) continue;
    log_ratios_[c] = linear_swap_log_ratio(betas_[c], betas_[c + 1], v[c], v[c + 1]);
    log_uniforms_[c] = log_swap_uniform(scan, Chain{c});
  }
  (void)index_process_.apply_swaps(scan, log_ratios_, log_uniforms_);
}

/// Meets the other workers; the last one to come does what is done once per rank.
void Coordinator::meet() noexcept {
  rendezvous_.meet([this]() noexcept {
    try {
      exchange();
      if (!failed_) {
        record();
        swap();
        n_scans_done_.store(++scan_, std::memory_order_relaxed);
      }
    } catch (...) {
      error_ = std::current_exception();
      failed_ = true;
    }
    goes_on_ = !failed_ && !stopped_ && scan_ < block_end_;
  });
}

template <class Real>
bool Coordinator::scan(std::size_t worker, const Explored<Real>& explored,
                       const NextScan<Real>& next) noexcept {
  return take(worker, explored, [&] { prepare(worker, next); });
}

template <class Real>
bool Coordinator::take(std::size_t worker, const Explored<Real>& explored) noexcept {
  return take(worker, explored, [] {});
}

template <class Real, class Then>
bool Coordinator::take(std::size_t worker, const Explored<Real>& explored,
                       const Then& then) noexcept {
  hand_in(worker, explored);
  meet();
  if (failed_) return false;
  try {
    const Block own = blocks_[worker];
    const std::size_t d = settings_.dimension;
    for (std::size_t row = 0; row < own.count; ++row) {
      const Replica replica{static_cast<std::uint32_t>(own.first + row)};
      visits_.add<Real>(scan_ - 1, replica, explored_chains_[replica.value],
                        explored.x.subspan(row * d, d), row_of(replica)[0]);
    }
    then();
    return goes_on_;
  } catch (...) {  // out of memory: the others hear of it in their next scan
    worker_error_[worker] = std::current_exception();
    fail(worker);
    return false;
  }
}

void Coordinator::fail(std::size_t) noexcept {
  worker_failed_ = true;
  if (goes_on_) meet();
}

Draws Coordinator::take_draws() {
  std::vector<Replica> at_target;
  const std::size_t n = settings_.n_chains;
  for (; data_ && n_draws_taken_ < scan_; ++n_draws_taken_)
    at_target.push_back(Replica{data_->replicas[(n_draws_taken_ + 1) * n - 1]});
  return visits_.take_draws(*ranks_, at_target);
}

Coordinator::OwnDraws Coordinator::take_own_draws() {
  OwnDraws own{.scans = {}, .draws = visits_.take_own_draws()};
  const std::size_t n = settings_.n_chains;
  for (; data_ && n_draws_taken_ < scan_; ++n_draws_taken_) {
    const std::uint32_t replica = data_->replicas[(n_draws_taken_ + 1) * n - 1];
    if (replica >= own_.first && replica < own_.first + own_.count)
      own.scans.push_back(n_draws_taken_);
  }
  return own;
}

void Coordinator::rethrow() const {
  if (error_) std::rethrow_exception(error_);
  for (const std::exception_ptr& error : worker_error_)
    if (error) std::rethrow_exception(error);
}

std::shared_ptr<RoundData> Coordinator::end_round() {
  if (!data_ || scan_ < n_scans_)
    throw std::logic_error("the round is not complete: " + std::to_string(scan_) + " of " +
                           std::to_string(n_scans_) + " scans are done");
  for (const ExactMoments& moments : visits_.moments(*ranks_))
    data_->moments.push_back(moments.moments());
  data_->snapshots = visits_.snapshots(*ranks_, data_->replicas);
  data_->n_restarts = round_trips_.n_restarts();
  data_->n_round_trips = round_trips_.n_round_trips();
  return std::exchange(data_, nullptr);
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

void Coordinator::leave_no_way_on(const char* what, Replica replica, Chain chain) const {
  throw NumericalError(std::string(what) + ": replica " + std::to_string(replica.value) +
                       ", chain " + std::to_string(chain.value) + ", beta " +
                       shortest(betas_[chain.value]) + ", round " + std::to_string(data_->round) +
                       ", scan " + std::to_string(scan_ + 1));
}

template bool Coordinator::take(std::size_t, const Explored<float>&) noexcept;
template bool Coordinator::take(std::size_t, const Explored<double>&) noexcept;
template bool Coordinator::scan(std::size_t, const Explored<float>&,
                                const NextScan<float>&) noexcept;
template bool Coordinator::scan(std::size_t, const Explored<double>&,
                                const NextScan<double>&) noexcept;

}  // namespace numpygeons
