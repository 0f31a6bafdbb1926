/// Names the arrays that explorers and the coordinator hand each other, by scan and by block.
#pragma once

#include <cstdint>
#include <span>

namespace numpygeons {

/// What one worker's explorers of a scan hand in. Rows are its own replicas, in order; more rows
/// than it has are not read.
template <class Real>
struct Explored {
  std::span<const Real> x;              ///< (n_rows, dimension), unconstrained
  std::span<const Real> log_reference;  ///< (n_rows,), log gamma_0
  std::span<const Real> v;              ///< (n_rows,), V; NaN is read as -inf
  std::span<const Real> statistics;     ///< (n_rows, n_statistics)
};

/// The randomness of explorers, row by row.
template <class Real>
struct ScanNoise {
  std::span<Real> normals;        ///< (n_rows, n_normals)
  std::span<Real> uniforms;       ///< (n_rows, n_uniforms)
  std::span<std::uint32_t> keys;  ///< (n_rows, 2), raw JAX keys; empty unless asked for
  /// Draws of the chain's mixtures (proposals.hpp): those of each table in turn.
  std::span<Real> proposals;                    ///< (n_rows, n_proposals, dimension)
  std::span<Real> proposal_logs;                ///< (n_rows, n_proposals, n_proposal_logs)
  std::span<std::int32_t> proposal_components;  ///< (n_rows, n_proposals)
};

/// What one worker's explorers of the next scan need; rows are its own replicas.
template <class Real>
struct NextScan {
  std::span<std::int32_t> reference_draw;  ///< (1,): which of the block's reference draws is due
  std::span<std::int32_t> chains;          ///< (n_rows,)
  std::span<Real> normals, uniforms;       ///< these and the rest as ScanNoise
  std::span<std::uint32_t> keys;
  std::span<Real> proposals, proposal_logs;
  std::span<std::int32_t> proposal_components;

  [[nodiscard]] ScanNoise<Real> noise() const noexcept {
    return {normals, uniforms, keys, proposals, proposal_logs, proposal_components};
  }
};

/// The randomness of consecutive scans, which does not depend on what they find.
template <class Real>
struct BlockNoise {
  /// (n_scans, n_chains) rows: by replica, except for the proposals, which are by chain.
  ScanNoise<Real> noise;
  /// (n_scans, n_chains): log of the uniform of the pair (c, c + 1); 0 where no pair may swap.
  std::span<double> log_swap_uniforms;
};

/// What a device found in consecutive scans; all rows by replica.
template <class Real>
struct ExploredBlock {
  std::span<const Real> x;               ///< (n_scans, n_chains, dimension), unconstrained
  std::span<const Real> log_reference;   ///< (n_scans, n_chains), log gamma_0
  std::span<const Real> v;               ///< (n_scans, n_chains), V
  std::span<const Real> statistics;      ///< (n_scans, n_chains, n_statistics)
  std::span<const std::int32_t> chains;  ///< (n_scans, n_chains), after each scan's swaps
};

}  // namespace numpygeons
