/// Estimates the variance of log Z from the replicas' tours between visits to the reference.
#include "numpygeons/evidence/tours.hpp"

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
  if (replicas.n_columns < 2) return 0;
  std::vector<bool> on_the_way(replicas.n_columns, false);
  std::size_t n_restarts = 0;
  for (std::size_t s = 0; s < replicas.n_rows; ++s) {
    on_the_way[replicas(s, 0)] = true;
    const std::uint32_t at_target = replicas(s, replicas.n_columns - 1);
    if (on_the_way[at_target]) ++n_restarts;
    on_the_way[at_target] = false;
  }
  return n_restarts;
}

}  // namespace numpygeons
