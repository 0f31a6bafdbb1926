/// Describes a round in its middle, and takes it up again: two members of the coordinator.
#include "numpygeons/engine/unfinished_round.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>

#include "numpygeons/engine/coordinator.hpp"

namespace numpygeons {

UnfinishedRound Coordinator::unfinished() const {
  if (!data_) throw std::logic_error("no round has begun");
  const auto n = static_cast<std::ptrdiff_t>(scan_ * settings_.n_chains);
  UnfinishedRound so_far{.n_done = scan_,
                         .v = {data_->v.begin(), data_->v.begin() + n},
                         .replicas = {data_->replicas.begin(), data_->replicas.begin() + n},
                         .statistic_sums = data_->statistic_sums,
                         .snapshots = {},
                         .moments = visits_.moment_words(*ranks_),
                         .chains = chains(),
                         .n_zero_likelihood = data_->n_zero_likelihood,
                         .first_zero_likelihood = data_->first_zero_likelihood};
  so_far.snapshots = visits_.snapshots(*ranks_, so_far.replicas);
  return so_far;
}

void Coordinator::resume(const UnfinishedRound& so_far) {
  const std::size_t n = settings_.n_chains, n_numbers = so_far.n_done * n;
  if (!data_ || scan_ > 0) throw std::logic_error("a round goes on right after it has begun");
  if (so_far.n_done > n_scans_ || so_far.v.size() != n_numbers ||
      so_far.replicas.size() != n_numbers ||
      so_far.statistic_sums.size() != data_->statistic_sums.size())
    throw std::invalid_argument("the round that is to go on has other shapes: got " +
                                std::to_string(so_far.n_done) + " scans with " +
                                std::to_string(so_far.v.size()) + " values of V");
  visits_.resume(
      so_far.replicas, so_far.snapshots,
      ranks_->rank() == 0 ? std::span(so_far.moments) : std::span<const std::uint64_t>{});
  set_chains(so_far.chains);
  std::ranges::copy(so_far.v, data_->v.begin());
  std::ranges::copy(so_far.replicas, data_->replicas.begin());
  data_->statistic_sums = so_far.statistic_sums;
  data_->n_zero_likelihood = so_far.n_zero_likelihood;
  data_->first_zero_likelihood = so_far.first_zero_likelihood;
  std::vector<Chain> by_replica(n);
  for (std::size_t scan = 0; scan < so_far.n_done; ++scan) {
    for (std::uint32_t c = 0; c < n; ++c) by_replica.at(so_far.replicas[scan * n + c]) = Chain{c};
    round_trips_.record(by_replica);
  }
  scan_ = n_draws_taken_ = so_far.n_done;
  n_scans_done_ = scan_;
  begin_block(n_scans_ - scan_, 0);
}

}  // namespace numpygeons
