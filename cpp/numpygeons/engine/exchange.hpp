/// Gathers, once per scan, what the replicas of all ranks have found.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "numpygeons/base/indices.hpp"
#include "numpygeons/comm/communicator.hpp"
#include "numpygeons/comm/partition.hpp"
#include "numpygeons/engine/coordinator_settings.hpp"
#include "numpygeons/engine/scan_arrays.hpp"

namespace numpygeons {

/// How a rank fared in a scan.
enum class Signal : std::uint8_t { go_on, stop, failed };

/// What a replica has found in a scan.
struct Finding {
  double log_reference{}, v{};         ///< log gamma_0, and V before `read_v`, in nats
  std::span<const double> statistics;  ///< (n_statistics,)
};

/// One message per rank and scan, in one Allgather: the rank's signal, then the findings of its
/// replicas. All ranks decide from it, so nothing else is said in a scan, and no state travels.
class Exchange {
 public:
  Exchange(const CoordinatorSettings& settings, std::shared_ptr<Communicator> ranks);

  /// The replicas of this rank.
  [[nodiscard]] Block own() const noexcept { return own_; }

  /// Writes down what `replicas` of this rank have found. Workers may do so at once, each for its
  /// own.
  template <class Real>
  void put(Block replicas, const Explored<Real>& explored) noexcept;

  /// What other ranks or this one have signalled.
  struct Heard {
    bool stop{}, failed{};
  };
  /// Tells all ranks what was put, and how this one fared. Collective.
  [[nodiscard]] Heard gather(Signal own);

  /// What a replica of any rank had found when `gather` was last called.
  [[nodiscard]] Finding of(Replica replica) const noexcept {
    const double* const row = all_.data() + places_[replica.value];
    return {row[0], row[1], std::span(row + 2, n_statistics_)};
  }

 private:
  [[nodiscard]] std::size_t row_width() const noexcept { return 2 + n_statistics_; }

  std::shared_ptr<Communicator> ranks_;
  std::size_t n_statistics_;
  Block own_;
  std::vector<double> message_, all_;  // of this rank, and of all
  std::vector<std::size_t> places_;    // of each replica's row in all_
};

}  // namespace numpygeons
