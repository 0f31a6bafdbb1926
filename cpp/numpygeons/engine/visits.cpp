/// Implements what is kept of the visits, and its gathering.
#include "numpygeons/engine/visits.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace numpygeons {

namespace {

/// Gathers one block of `width` elements per rank.
template <class T>
std::vector<T> gathered(Communicator& ranks, std::span<const T> own) {
  std::vector<T> all(own.size() * ranks.size());
  ranks.allgather(std::as_bytes(own), std::as_writable_bytes(std::span(all)));
  return all;
}

}  // namespace

Visits::Visits(const VisitSettings& settings, Block own) : settings_(settings), own_(own) {}

void Visits::begin_round(std::size_t n_scans, std::span<const double> centre,
                         std::span<const double> scale, std::size_t real_bytes,
                         std::size_t most_draws) {
  const std::size_t n = settings_.n_chains, d = settings_.dimension;
  moments_.clear();
  if (settings_.keeps_moments) {
    if (centre.size() != n * d || scale.size() != n * d)
      throw std::invalid_argument("centre and scale must hold n_chains x dimension numbers, " +
                                  std::to_string(n * d) + ": got " + std::to_string(centre.size()) +
                                  " and " + std::to_string(scale.size()));
    centre_.assign(centre.begin(), centre.end());
    scale_.assign(scale.begin(), scale.end());
    for (std::size_t c = 0; c < n; ++c)
      moments_.emplace_back(centre.subspan(c * d, d), scale.subspan(c * d, d));
  }
  snapshots_.clear();
  stride_ = 0;
  if (const std::size_t most = settings_.n_snapshots; most > 0) {
    stride_ = (n_scans + most - 1) / most;
    snapshots_.reserve(n_scans / stride_ * own_.count * d);
  }
  real_bytes_ = real_bytes;
  most_draws_ = most_draws;
  draws_ = {};
  reserve_draws(draws_);
}

void Visits::reserve_draws(Draws& draws) const {
  if (!settings_.keeps_draws) return;
  draws.x.reserve(most_draws_ * settings_.dimension * real_bytes_);
  draws.log_reference.reserve(most_draws_);
}

void Visits::make_room() {
  snapshots_.resize(snapshots_.size() + own_.count * settings_.dimension);
}

void Visits::resume(std::span<const std::uint32_t> replicas, std::span<const double> snapshots,
                    std::span<const std::uint64_t> words) {
  const std::size_t n = settings_.n_chains, d = settings_.dimension, per_chain = 1 + 4 * d;
  const std::size_t n_kept = stride_ == 0 ? 0 : replicas.size() / n / stride_;
  if (snapshots.size() != n_kept * n * d)
    throw std::invalid_argument("there must be snapshots of " + std::to_string(n_kept) +
                                " scans: got " + std::to_string(snapshots.size()) + " numbers");
  if (!words.empty() && words.size() != moments_.size() * per_chain)
    throw std::invalid_argument("moments must be " + std::to_string(moments_.size() * per_chain) +
                                " words: got " + std::to_string(words.size()));
  for (std::size_t k = 0; k < n_kept; ++k) {
    make_room();
    const std::uint32_t* const at_chain = replicas.data() + (stride_ * (k + 1) - 1) * n;
    for (std::size_t c = 0; c < n; ++c) {
      if (at_chain[c] < own_.first || at_chain[c] >= own_.first + own_.count) continue;
      const std::size_t place = k * own_.count + (at_chain[c] - own_.first);
      const auto x = snapshots.subspan((k * n + c) * d, d);
      std::ranges::copy(x, snapshots_.begin() + static_cast<std::ptrdiff_t>(place * d));
    }
  }
  if (words.empty()) return;
  for (std::size_t c = 0; c < moments_.size(); ++c)
    moments_[c].add_words(words.subspan(c * per_chain, per_chain));
}

template <class Real>
void Visits::add(std::size_t scan, Replica replica, Chain chain, std::span<const Real> x,
                 double log_reference) {
  if (is_kept(scan)) {
    const std::size_t from_end = (own_.count - (replica.value - own_.first)) * x.size();
    std::ranges::copy(x, snapshots_.end() - static_cast<std::ptrdiff_t>(from_end));
  }
  if (settings_.keeps_moments) moments_[chain.value].template add<Real>(x);
  if (settings_.keeps_draws && chain.value + 1 == settings_.n_chains) {
    const auto bytes = std::as_bytes(x);
    draws_.x.insert(draws_.x.end(), bytes.begin(), bytes.end());
    draws_.log_reference.push_back(log_reference);
  }
}

Draws Visits::take_own_draws() {
  Draws taken;
  reserve_draws(taken);
  std::swap(taken, draws_);
  return taken;
}

Draws Visits::take_draws(Communicator& ranks, std::span<const Replica> at_target) {
  Draws taken = take_own_draws();
  if (ranks.size() == 1 || !settings_.keeps_draws) return taken;

  const std::size_t n_ranks = ranks.size(), row = settings_.dimension * real_bytes_;
  std::vector<std::size_t> counts(n_ranks);
  for (const Replica replica : at_target)
    ++counts[part_of(replica.value, settings_.n_chains, n_ranks)];
  const std::size_t width = *std::ranges::max_element(counts);
  taken.x.resize(width * row);
  taken.log_reference.resize(width);
  const auto all_x = gathered<std::byte>(ranks, taken.x);
  const auto all_log_reference = gathered<double>(ranks, taken.log_reference);

  taken = {};
  std::vector<std::size_t> next(n_ranks);
  for (const Replica replica : at_target) {
    const std::size_t rank = part_of(replica.value, settings_.n_chains, n_ranks);
    const std::size_t place = rank * width + next[rank]++;
    const auto x = std::span(all_x).subspan(place * row, row);
    taken.x.insert(taken.x.end(), x.begin(), x.end());
    taken.log_reference.push_back(all_log_reference[place]);
  }
  return taken;
}

std::vector<double> Visits::snapshots(Communicator& ranks,
                                      std::span<const std::uint32_t> replicas) const {
  if (stride_ == 0) return {};
  const std::size_t n = settings_.n_chains, d = settings_.dimension;
  const std::size_t n_kept = replicas.size() / n / stride_;
  const std::size_t width = largest_block(n, ranks.size()) * d;
  std::vector<double> result(n_kept * n * d), own(width);
  for (std::size_t k = 0; k < n_kept; ++k) {
    const auto mine = std::span(snapshots_).subspan(k * own_.count * d, own_.count * d);
    std::ranges::copy(mine, own.begin());
    const std::vector<double> all = gathered<double>(ranks, own);
    const std::uint32_t* const at_chain = replicas.data() + (stride_ * (k + 1) - 1) * n;
    for (std::size_t c = 0; c < n; ++c) {
      const std::size_t rank = part_of(at_chain[c], n, ranks.size());
      const std::size_t place = at_chain[c] - block_of(n, ranks.size(), rank).first;
      std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(rank * width + place * d), d,
                  result.begin() + static_cast<std::ptrdiff_t>((k * n + c) * d));
    }
  }
  return result;
}

std::vector<ExactMoments> Visits::moments(Communicator& ranks) const {
  if (ranks.size() == 1) return moments_;
  std::vector<ExactMoments> result;
  const std::size_t d = settings_.dimension;
  for (std::size_t c = 0; c < moments_.size(); ++c) {
    const std::vector<std::uint64_t> own = moments_[c].words();
    const auto all = gathered<std::uint64_t>(ranks, own);
    ExactMoments& sum = result.emplace_back(std::span(centre_).subspan(c * d, d),
                                            std::span(scale_).subspan(c * d, d));
    for (std::size_t rank = 0; rank < ranks.size(); ++rank)
      sum.add_words(std::span(all).subspan(rank * own.size(), own.size()));
  }
  return result;
}

std::vector<std::uint64_t> Visits::moment_words(Communicator& ranks) const {
  std::vector<std::uint64_t> result;
  for (const ExactMoments& chain : moments(ranks)) {
    const std::vector<std::uint64_t> words = chain.words();
    result.insert(result.end(), words.begin(), words.end());
  }
  return result;
}

template void Visits::add(std::size_t, Replica, Chain, std::span<const float>, double);
template void Visits::add(std::size_t, Replica, Chain, std::span<const double>, double);

}  // namespace numpygeons
