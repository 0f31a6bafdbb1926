/// Estimates the variance of log Z from the replicas' tours between visits to the reference.
#include "numpygeons/evidence/tours.hpp"

#include <algorithm>
#include <limits>
#include <vector>

namespace numpygeons {

namespace {

struct Tour {
  double total{};
  bool begun{};
};

}  // namespace

TourVariance tour_variance(MatrixView<const double> influence,
                           MatrixView<const std::uint32_t> replicas) {
  double sum_squares = 0.0;
  double sum_fourths = 0.0;
  std::size_t n_tours = 0;
  std::vector<Tour> tours(influence.n_columns);
  const auto close = [&](Tour& tour) {
    if (!tour.begun) return;
    const double square = tour.total * tour.total;
    sum_squares += square;
    sum_fourths += square * square;
    ++n_tours;
    tour = {};
  };
  for (std::size_t s = 0; s < influence.n_rows; ++s) {
    close(tours[replicas(s, 0)]);
    for (std::size_t i = 0; i < influence.n_columns; ++i) {
      Tour& tour = tours[replicas(s, i)];
      tour.total += influence(s, i);
      tour.begun = true;
    }
  }
  // In the order of chains, not of labels: a relabelling must not even change the rounding.
  const std::size_t last = influence.n_rows - 1;
  for (std::size_t i = 0; i < influence.n_columns; ++i) close(tours[replicas(last, i)]);
  return {.variance = sum_squares / static_cast<double>(influence.n_rows),
          .effective_tours = sum_fourths > 0.0 ? sum_squares * sum_squares / sum_fourths
                                               : static_cast<double>(n_tours),
          .n_tours = n_tours};
}

std::size_t count_restarts(MatrixView<const std::uint32_t> replicas) {
  return count_traversals(replicas, 1);
}

std::size_t pieces_of_ladder(std::size_t n_scans, std::size_t n_chains) noexcept {
  if (n_chains < 2) return 1;
  const std::size_t n_pieces = (4 * n_chains + n_scans - 1) / std::max<std::size_t>(n_scans, 1);
  return std::clamp<std::size_t>(n_pieces, 1, n_chains - 1);
}

std::size_t count_traversals(MatrixView<const std::uint32_t> replicas, std::size_t n_pieces) {
  if (replicas.n_columns < 2) return 0;
  std::size_t fewest = std::numeric_limits<std::size_t>::max();
  for (std::size_t piece = 0; piece < n_pieces; ++piece) {
    const std::size_t low = piece * (replicas.n_columns - 1) / n_pieces;
    const std::size_t high = (piece + 1) * (replicas.n_columns - 1) / n_pieces;
    // Replicas move one chain at a time: who gets from below to above passes both ends.
    std::vector<bool> on_the_way(replicas.n_columns, false);
    std::size_t n_trips = 0;
    for (std::size_t s = 0; s < replicas.n_rows; ++s) {
      on_the_way[replicas(s, low)] = true;
      const std::uint32_t at_top = replicas(s, high);
      if (on_the_way[at_top]) ++n_trips;
      on_the_way[at_top] = false;
    }
    fewest = std::min(fewest, n_trips);
  }
  return fewest;
}

}  // namespace numpygeons
