/// Implements the records of a round.
#include "numpygeons/engine/recorder.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/base/errors.hpp"
#include "numpygeons/base/log_ratio.hpp"

namespace numpygeons {

namespace {

std::string shortest(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", number);
  return text;
}

}  // namespace

Recorder::Recorder(const CoordinatorSettings& settings, Block own)
    : n_chains_(settings.n_chains),
      n_statistics_(settings.n_statistics),
      dimension_(settings.dimension),
      own_(own),
      visits_({.n_chains = settings.n_chains,
               .dimension = settings.dimension,
               .n_snapshots = settings.n_snapshots,
               .keeps_draws = settings.records_draws,
               .keeps_moments = settings.records_moments},
              own),
      round_trips_(settings.n_chains) {}

void Recorder::begin_round(std::uint32_t round, std::size_t n_scans, std::span<const double> centre,
                           std::span<const double> scale, std::size_t real_bytes,
                           std::size_t most_draws) {
  visits_.begin_round(n_scans, centre, scale, real_bytes, most_draws);
  round_trips_.start_round();
  data_ = std::make_shared<RoundData>();
  data_->round = round;
  data_->n_scans = n_scans;
  data_->n_chains = n_chains_;
  data_->dimension = dimension_;
  data_->n_statistics = n_statistics_;
  data_->v.resize(n_scans * n_chains_);
  data_->replicas.resize(n_scans * n_chains_);
  data_->statistic_sums.assign(n_chains_ * n_statistics_, 0.0);
  data_->snapshot_stride = visits_.snapshot_stride();
  n_scans_ = n_scans;
  n_done_ = n_draws_taken_ = 0;
}

void Recorder::record(const Exchange& found, const IndexProcess& places,
                      std::span<const double> betas) {
  double* const v_row = data_->v.data() + n_done_ * n_chains_;
  std::uint32_t* const replica_row = data_->replicas.data() + n_done_ * n_chains_;
  for (std::uint32_t c = 0; c < n_chains_; ++c) {
    const Replica replica = places.replica_at(Chain{c});
    const Finding finding = found.of(replica);
    v_row[c] = checked_v(finding, replica, Chain{c}, betas[c]);
    replica_row[c] = replica.value;
    for (std::size_t k = 0; k < n_statistics_; ++k)
      data_->statistic_sums[c * n_statistics_ + k] += finding.statistics[k];
  }
  if (visits_.is_kept(n_done_)) visits_.make_room();
  round_trips_.record(places.chains());
  ++n_done_;
}

double Recorder::checked_v(const Finding& finding, Replica replica, Chain chain, double beta) {
  const double v = read_v(finding.v);
  if (!std::isfinite(v)) {
    if (v > 0) leave_no_way_on("V = log target - log reference is +inf", replica, chain, beta);
    if (beta > 0)
      leave_no_way_on("the explorer returned a state of likelihood zero", replica, chain, beta);
    if (data_->n_zero_likelihood++ == 0)
      data_->first_zero_likelihood = FirstZeroLikelihood{replica, chain, beta, n_done_ + 1};
  }
  if (!std::isfinite(finding.log_reference))
    leave_no_way_on("the log density of the reference is not finite", replica, chain, beta);
  return v;
}

void Recorder::leave_no_way_on(const char* what, Replica replica, Chain chain, double beta) const {
  throw NumericalError(std::string(what) + ": replica " + std::to_string(replica.value) +
                       ", chain " + std::to_string(chain.value) + ", beta " + shortest(beta) +
                       ", round " + std::to_string(data_->round) + ", scan " +
                       std::to_string(n_done_ + 1));
}

Replica Recorder::next_at_target() noexcept {
  return Replica{data_->replicas[++n_draws_taken_ * n_chains_ - 1]};
}

Draws Recorder::take_draws(Communicator& ranks) {
  std::vector<Replica> at_target;
  while (data_ && n_draws_taken_ < n_done_) at_target.push_back(next_at_target());
  return visits_.take_draws(ranks, at_target);
}

OwnDraws Recorder::take_own_draws() {
  OwnDraws own{.scans = {}, .draws = visits_.take_own_draws()};
  while (data_ && n_draws_taken_ < n_done_) {
    const std::uint32_t replica = next_at_target().value;
    if (replica >= own_.first && replica < own_.first + own_.count)
      own.scans.push_back(n_draws_taken_ - 1);
  }
  return own;
}

UnfinishedRound Recorder::unfinished(Communicator& ranks) const {
  if (!data_) throw std::logic_error("no round has begun");
  const auto n = static_cast<std::ptrdiff_t>(n_done_ * n_chains_);
  UnfinishedRound so_far{.n_done = n_done_,
                         .v = {data_->v.begin(), data_->v.begin() + n},
                         .replicas = {data_->replicas.begin(), data_->replicas.begin() + n},
                         .statistic_sums = data_->statistic_sums,
                         .snapshots = {},
                         .moments = visits_.moment_words(ranks),
                         .chains = {},
                         .n_zero_likelihood = data_->n_zero_likelihood,
                         .first_zero_likelihood = data_->first_zero_likelihood};
  so_far.snapshots = visits_.snapshots(ranks, so_far.replicas);
  return so_far;
}

void Recorder::resume(const UnfinishedRound& so_far, const Communicator& ranks) {
  const std::size_t n_numbers = so_far.n_done * n_chains_;
  if (!data_ || n_done_ > 0) throw std::logic_error("a round goes on right after it has begun");
  if (so_far.n_done > n_scans_ || so_far.v.size() != n_numbers ||
      so_far.replicas.size() != n_numbers ||
      so_far.statistic_sums.size() != data_->statistic_sums.size())
    throw std::invalid_argument("the round that is to go on has other shapes: got " +
                                std::to_string(so_far.n_done) + " scans with " +
                                std::to_string(so_far.v.size()) + " values of V");
  visits_.resume(so_far.replicas, so_far.snapshots,
                 ranks.rank() == 0 ? std::span(so_far.moments) : std::span<const std::uint64_t>{});
  std::ranges::copy(so_far.v, data_->v.begin());
  std::ranges::copy(so_far.replicas, data_->replicas.begin());
  data_->statistic_sums = so_far.statistic_sums;
  data_->n_zero_likelihood = so_far.n_zero_likelihood;
  data_->first_zero_likelihood = so_far.first_zero_likelihood;
  std::vector<Chain> by_replica(n_chains_);
  for (std::size_t scan = 0; scan < so_far.n_done; ++scan) {
    for (std::uint32_t c = 0; c < n_chains_; ++c)
      by_replica.at(so_far.replicas[scan * n_chains_ + c]) = Chain{c};
    round_trips_.record(by_replica);
  }
  n_done_ = n_draws_taken_ = so_far.n_done;
}

std::shared_ptr<RoundData> Recorder::end_round(Communicator& ranks) {
  if (!data_ || n_done_ < n_scans_)
    throw std::logic_error("the round is not complete: " + std::to_string(n_done_) + " of " +
                           std::to_string(n_scans_) + " scans are done");
  for (const ExactMoments& moments : visits_.moments(ranks))
    data_->moments.push_back(moments.moments());
  data_->snapshots = visits_.snapshots(ranks, data_->replicas);
  data_->n_restarts = round_trips_.n_restarts();
  data_->n_round_trips = round_trips_.n_round_trips();
  return std::exchange(data_, nullptr);
}

}  // namespace numpygeons
