/// Draws proposals from mixtures of normals, one mixture per chain, that stay the same for a round.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "numpygeons/base/indices.hpp"

namespace numpygeons {

/// One mixture per chain, and how many proposals each chain wants in a scan.
struct ProposalTable {
  std::size_t n_chains{}, n_components{}, dimension{};
  std::size_t n_most{};                  ///< proposals of a chain in a scan, at most
  std::span<const double> log_weights;   ///< (n_chains, n_components); they need no norm
  std::span<const double> means;         ///< (n_chains, n_components, dimension)
  std::span<const double> factors;       ///< (n_chains, n_components, dimension, dimension): lower
                                         ///< triangular, covariance = factor factor'
  std::span<const std::int32_t> counts;  ///< (n_chains,), each in [0, n_most]
};

/// How many logs come with a proposal.
constexpr std::size_t n_proposal_logs = 3;

/// Where the proposals of one chain in one scan go; rows beyond its count become 0.
template <class Real>
struct ProposalRows {
  std::span<Real> x;  ///< (n_most, dimension)
  /// (n_most, n_proposal_logs): log q(x); log of the region's share of q(x); log of the uniform
  /// that decides whether x is accepted.
  std::span<Real> logs;
  std::span<std::int32_t> components;  ///< (n_most,): the region, drawn with its share of q(x)
};

/// Draws x from q and says what an independence step needs to know of it (Tierney 1994, 2.3.3).
///
/// q = sum_k w_k N(m_k, F_k F_k'); log q leaves out the constant -d/2 log(2 pi) and the norm of the
/// weights. It is that of x as rounded to the model's number type. The region of x is a component
/// drawn anew given x, with probability w_k N(x; m_k, F_k F_k') / q(x).
///
/// What chain c proposes in a scan is a function of (seed, round, scan, c): replicas do not show,
/// and it could be made ahead, in any order. The core draws faster than the compiled program would.
/// Bits are the same on every platform: basic IEEE operations in a fixed order.
class Proposals {
 public:
  /// Copies the table. Throws std::invalid_argument when its parts do not fit together, when a
  /// count is out of range, or a factor's diagonal is not positive.
  explicit Proposals(const ProposalTable& table);

  [[nodiscard]] std::size_t n_chains() const noexcept { return n_chains_; }
  [[nodiscard]] std::size_t dimension() const noexcept { return dimension_; }
  [[nodiscard]] std::size_t n_most() const noexcept { return n_most_; }

  /// Fills in the proposals of `chain`; `source` tells several tables of one run apart.
  template <class Real>
  void draw(std::uint64_t seed, std::uint32_t source, std::uint32_t round, std::uint64_t scan,
            Chain chain, const ProposalRows<Real>& rows) const;

 private:
  /// Room for the numbers of one proposal.
  struct Scratch {
    std::vector<double> z, x, gaps, parts, cumulative;
  };

  /// Log weight times density of each component at x, into `scratch.parts`, and running sums
  /// proportional to those products into `scratch.cumulative`; returns the log of their sum.
  double log_parts(std::size_t chain, const double* x, Scratch& scratch) const;

  std::size_t n_chains_, n_components_, dimension_, n_most_;
  std::size_t n_blocks_;  // of components: the vectorised loops run over blocks
  std::vector<std::int32_t> counts_;
  std::vector<double> cumulative_;  // (n_chains, n_components) weights, summed up to here
  std::vector<double> means_, factors_;
  std::vector<double> heights_;          // (n_chains, n_blocks, block): log weight - log det factor
  std::vector<double> block_means_;      // (n_chains, n_blocks, dimension, block)
  std::vector<double> block_whiteners_;  // (n_chains, n_blocks, lower triangle, block)
};

}  // namespace numpygeons
