/// Implements the draws from mixtures.
#include "numpygeons/tuning/proposals.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "numpygeons/base/log_ratio.hpp"
#include "numpygeons/math/component_blocks.hpp"
#include "numpygeons/math/log_sum.hpp"
#include "numpygeons/math/portable_log.hpp"
#include "numpygeons/random/streams.hpp"

namespace numpygeons {

namespace {

constexpr std::size_t block = component_block;

void require_size(const char* name, std::size_t got, std::size_t wanted) {
  if (got != wanted)
    throw std::invalid_argument(std::string(name) + " must hold " + std::to_string(wanted) +
                                " numbers: got " + std::to_string(got));
}

/// Row i of the inverse of a lower triangular factor comes after its rows 0 ... i - 1, all packed.
std::vector<double> packed_inverse(const double* lower, std::size_t d) {
  std::vector<double> inverse(d * (d + 1) / 2);
  const auto at = [&](std::size_t i, std::size_t j) -> double& {
    return inverse[i * (i + 1) / 2 + j];
  };
  for (std::size_t j = 0; j < d; ++j) {
    at(j, j) = 1 / lower[j * d + j];
    for (std::size_t i = j + 1; i < d; ++i) {
      double sum = 0;
      for (std::size_t k = j; k < i; ++k) sum -= lower[i * d + k] * at(k, j);
      at(i, j) = sum / lower[i * d + i];
    }
  }
  return inverse;
}

/// Index at which the running sum of weights passes a share of their total.
std::size_t inverted(std::span<const double> cumulative, double uniform) {
  const double mark = uniform * cumulative.back();  // below the last: uniform < 1
  std::size_t place = 0;
  while (cumulative[place] <= mark && place + 1 < cumulative.size()) ++place;
  return place;
}

}  // namespace

Proposals::Proposals(const ProposalTable& table)
    : n_chains_(table.n_chains),
      n_components_(table.n_components),
      dimension_(table.dimension),
      n_most_(table.n_most),
      n_blocks_(n_component_blocks(table.n_components)),
      counts_(table.counts.begin(), table.counts.end()),
      means_(table.means.begin(), table.means.end()),
      factors_(table.factors.begin(), table.factors.end()) {
  const std::size_t n = n_chains_ * n_components_, d = dimension_;
  if (n == 0 || d == 0) throw std::invalid_argument("a mixture needs a component and a dimension");
  require_size("log_weights", table.log_weights.size(), n);
  require_size("means", means_.size(), n * d);
  require_size("factors", factors_.size(), n * d * d);
  require_size("counts", counts_.size(), n_chains_);
  for (const std::int32_t count : counts_)
    if (count < 0 || std::cmp_greater(count, n_most_))
      throw std::invalid_argument("a chain takes between 0 and " + std::to_string(n_most_) +
                                  " proposals: got " + std::to_string(count));
  const std::size_t triangle = d * (d + 1) / 2, width = n_blocks_ * block;
  cumulative_.resize(n);
  heights_.assign(n_chains_ * width, minus_infinity);
  block_means_.assign(n_chains_ * width * d, 0.0);
  block_whiteners_.assign(n_chains_ * width * triangle, 0.0);
  for (std::size_t c = 0; c < n_chains_; ++c) {
    const auto log_weights = table.log_weights.subspan(c * n_components_, n_components_);
    const double highest = std::ranges::max(log_weights);
    double sum = 0;
    for (std::size_t k = 0; k < n_components_; ++k) {
      const std::size_t row = c * n_components_ + k;
      cumulative_[row] = sum += exp_nonpositive(log_weights[k] - highest);
      const double* const factor = factors_.data() + row * d * d;
      double log_det = 0;
      for (std::size_t j = 0; j < d; ++j) {
        if (!(factor[j * d + j] > 0))
          throw std::invalid_argument("a factor must have a positive diagonal: got " +
                                      std::to_string(factor[j * d + j]) + " for chain " +
                                      std::to_string(c));
        log_det += portable_log(factor[j * d + j]);
      }
      const std::size_t first = c * n_blocks_ + k / block, lane = k % block;
      heights_[first * block + lane] = log_weights[k] - log_det;
      for (std::size_t j = 0; j < d; ++j)
        block_means_[(first * d + j) * block + lane] = means_[row * d + j];
      const std::vector<double> inverse = packed_inverse(factor, d);
      for (std::size_t i = 0; i < triangle; ++i)
        block_whiteners_[(first * triangle + i) * block + lane] = inverse[i];
    }
  }
}

double Proposals::log_parts(std::size_t chain, const double* x, Scratch& scratch) const {
  const std::size_t d = dimension_, triangle = d * (d + 1) / 2;
  double* const parts = scratch.parts.data();
  for (std::size_t b = 0; b < n_blocks_; ++b) {
    const std::size_t first = chain * n_blocks_ + b;
    double squares[block];
    block_squares(x, block_means_.data() + first * d * block,
                  block_whiteners_.data() + first * triangle * block, d, scratch.gaps.data(),
                  squares);
    for (std::size_t k = 0; k < block; ++k)
      parts[b * block + k] = heights_[first * block + k] - 0.5 * squares[k];
  }
  double highest = parts[0];
  for (std::size_t k = 1; k < n_components_; ++k) highest = std::max(highest, parts[k]);
  block_exponentials(parts, highest, n_blocks_, scratch.cumulative.data());
  for (std::size_t k = 1; k < n_components_; ++k)
    scratch.cumulative[k] += scratch.cumulative[k - 1];
  return highest + portable_log(scratch.cumulative[n_components_ - 1]);
}

template <class Real>
void Proposals::draw(std::uint64_t seed, std::uint32_t source, std::uint32_t round,
                     std::uint64_t scan, Chain chain, const ProposalRows<Real>& rows) const {
  const std::size_t c = chain.value, d = dimension_;
  const auto n = static_cast<std::size_t>(counts_[c]);
  std::fill(rows.x.begin() + static_cast<std::ptrdiff_t>(n * d), rows.x.end(), Real{0});
  std::fill(rows.logs.begin() + static_cast<std::ptrdiff_t>(n_proposal_logs * n), rows.logs.end(),
            Real{0});
  std::fill(rows.components.begin() + static_cast<std::ptrdiff_t>(n), rows.components.end(), 0);
  if (n == 0) return;
  thread_local Scratch scratch;
  scratch.z.resize(d);
  scratch.x.resize(d);
  scratch.gaps.resize(d * block);
  scratch.parts.resize(n_blocks_ * block);
  scratch.cumulative.resize(n_blocks_ * block);
  double* const x = scratch.x.data();
  const double* const z = scratch.z.data();
  const auto name = static_cast<std::uint32_t>(source * n_chains_ + c);
  Stream stream({seed, Purpose::propose, Replica{name}, round, scan});
  const std::span cumulative = std::span(cumulative_).subspan(c * n_components_, n_components_);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t row = c * n_components_ + inverted(cumulative, stream.uniform());
    const double region_uniform = stream.uniform(), decision_uniform = stream.uniform();
    stream.fill_normals(std::span(scratch.z));
    const double* const factor = factors_.data() + row * d * d;
    for (std::size_t j = 0; j < d; ++j) {
      double sum = means_[row * d + j];
      for (std::size_t k = 0; k <= j; ++k) sum += factor[j * d + k] * z[k];
      const Real rounded = static_cast<Real>(sum);
      rows.x[i * d + j] = rounded;
      x[j] = static_cast<double>(rounded);
    }
    const double total = log_parts(c, x, scratch);
    const std::size_t region =
        inverted(std::span(scratch.cumulative).first(n_components_), region_uniform);
    const std::span<Real> logs = rows.logs.subspan(n_proposal_logs * i, n_proposal_logs);
    logs[0] = static_cast<Real>(total);
    logs[1] = static_cast<Real>(scratch.parts[region] - total);
    logs[2] = static_cast<Real>(portable_log(decision_uniform));
    rows.components[i] = static_cast<std::int32_t>(region);
  }
}

template void Proposals::draw(std::uint64_t, std::uint32_t, std::uint32_t, std::uint64_t, Chain,
                              const ProposalRows<float>&) const;
template void Proposals::draw(std::uint64_t, std::uint32_t, std::uint32_t, std::uint64_t, Chain,
                              const ProposalRows<double>&) const;

}  // namespace numpygeons
