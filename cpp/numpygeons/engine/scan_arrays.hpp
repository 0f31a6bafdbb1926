/// Names the arrays that explorers and the coordinator hand each other, by scan and by block.
#pragma once

#include <cstdint>
#include <span>
#include <tuple>

#include "numpygeons/engine/array_fields.hpp"
#include "numpygeons/engine/coordinator_settings.hpp"
#include "numpygeons/tuning/proposals.hpp"

namespace numpygeons {

/// What one worker's explorers of a scan hand in. Rows are its own replicas, in order; more rows
/// than it has are not read.
template <class Real>
struct Explored {
  std::span<const Real> x;              ///< (n_rows, dimension), unconstrained
  std::span<const Real> log_reference;  ///< (n_rows,), log gamma_0
  std::span<const Real> v;              ///< (n_rows,), V before `read_v`
  std::span<const Real> statistics;     ///< (n_rows, n_statistics)

  static constexpr auto fields() {
    using S = const CoordinatorSettings&;
    return std::tuple{
        Field{"x", &Explored::x, [](S s) { return RowShape{s.dimension}; }},
        Field{"log_reference", &Explored::log_reference, [](S) { return RowShape{}; }},
        Field{"v", &Explored::v, [](S) { return RowShape{}; }},
        Field{"statistics", &Explored::statistics, [](S s) { return RowShape{s.n_statistics}; }},
    };
  }
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

  static constexpr auto fields() {
    using S = const CoordinatorSettings&;
    return std::tuple{
        Field{"normals", &ScanNoise::normals, [](S s) { return RowShape{s.n_normals}; }},
        Field{"uniforms", &ScanNoise::uniforms, [](S s) { return RowShape{s.n_uniforms}; }},
        Field{"keys", &ScanNoise::keys,
              [](S s) { return RowShape{s.hands_out_keys ? std::size_t{2} : 0}; }},
        Field{"proposals", &ScanNoise::proposals,
              [](S s) { return RowShape{s.n_proposals, s.dimension}; }},
        Field{"proposal_logs", &ScanNoise::proposal_logs,
              [](S s) { return RowShape{s.n_proposals, n_proposal_logs}; }},
        Field{"proposal_components", &ScanNoise::proposal_components,
              [](S s) { return RowShape{s.n_proposals}; }},
    };
  }
};

/// What one worker's explorers of the next scan need; rows are its own replicas.
template <class Real>
struct NextScan : ScanNoise<Real> {
  std::span<std::int32_t> reference_draw;  ///< which of the block's reference draws is due
  std::span<std::int32_t> chains;          ///< (n_rows,)

  static constexpr auto fields() {
    using S = const CoordinatorSettings&;
    const auto number = [](S) { return RowShape{}; };
    return std::tuple_cat(
        std::tuple{Field{"reference_draw", &NextScan::reference_draw, number, false},
                   Field{"chains", &NextScan::chains, number}},
        ScanNoise<Real>::fields());
  }
};

/// The randomness of consecutive scans, which does not depend on what they find: (n_scans,
/// n_chains) rows, by replica, except for the proposals, which are by chain.
template <class Real>
struct BlockNoise : ScanNoise<Real> {
  /// Log of the uniform of the pair (c, c + 1), by chain c; 0 where no pair may swap.
  std::span<double> log_swap_uniforms;

  static constexpr auto fields() {
    return std::tuple_cat(ScanNoise<Real>::fields(),
                          std::tuple{Field{"log_swap_uniforms", &BlockNoise::log_swap_uniforms,
                                           [](const CoordinatorSettings&) { return RowShape{}; }}});
  }
};

/// What a device found in consecutive scans: (n_scans, n_chains) rows, by replica.
template <class Real>
struct ExploredBlock : Explored<Real> {
  std::span<const std::int32_t> chains;  ///< after each scan's swaps

  static constexpr auto fields() {
    return std::tuple_cat(Explored<Real>::fields(),
                          std::tuple{Field{"chains", &ExploredBlock::chains,
                                           [](const CoordinatorSettings&) { return RowShape{}; }}});
  }
};

}  // namespace numpygeons
