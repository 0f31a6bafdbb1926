/// Implements the gathering of findings.
#include "numpygeons/engine/exchange.hpp"

#include <utility>

namespace numpygeons {

Exchange::Exchange(const CoordinatorSettings& settings, std::shared_ptr<Communicator> ranks)
    : ranks_(std::move(ranks)),
      n_statistics_(settings.n_statistics),
      own_(block_of(settings.n_chains, ranks_->size(), ranks_->rank())) {
  const std::size_t n = settings.n_chains, n_ranks = ranks_->size();
  message_.resize(1 + largest_block(n, n_ranks) * row_width());
  all_.resize(message_.size() * n_ranks);
  for (std::size_t rank = 0; rank < n_ranks; ++rank) {
    const std::size_t count = block_of(n, n_ranks, rank).count;
    for (std::size_t i = 0; i < count; ++i)
      places_.push_back(rank * message_.size() + 1 + i * row_width());
  }
}

template <class Real>
void Exchange::put(Block replicas, const Explored<Real>& explored) noexcept {
  double* row = message_.data() + 1 + (replicas.first - own_.first) * row_width();
  for (std::size_t r = 0; r < replicas.count; ++r) {
    *row++ = static_cast<double>(explored.log_reference[r]);
    *row++ = static_cast<double>(explored.v[r]);
    for (std::size_t k = 0; k < n_statistics_; ++k)
      *row++ = static_cast<double>(explored.statistics[r * n_statistics_ + k]);
  }
}

Exchange::Heard Exchange::gather(Signal own) {
  message_[0] = static_cast<double>(own);
  ranks_->allgather(std::as_bytes(std::span(message_)), std::as_writable_bytes(std::span(all_)));
  Heard heard;
  for (std::size_t rank = 0; rank < ranks_->size(); ++rank) {
    const double signal = all_[rank * message_.size()];
    heard.stop |= signal == static_cast<double>(Signal::stop);
    heard.failed |= signal == static_cast<double>(Signal::failed);
  }
  return heard;
}

template void Exchange::put(Block, const Explored<float>&) noexcept;
template void Exchange::put(Block, const Explored<double>&) noexcept;

}  // namespace numpygeons
