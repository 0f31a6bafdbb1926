/// Runs the coordinator without Python, on a path whose every chain can be drawn from exactly.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <vector>

#include "numpygeons/base/errors.hpp"
#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/engine/round.hpp"
#include "numpygeons/evidence/round_evidence.hpp"
#include "numpygeons/math/matrix_view.hpp"

using namespace numpygeons;

namespace {

constexpr std::size_t n_chains = 5;
constexpr double y = 1.5;  // one observation of x with unit noise; x from N(0, 1)

/// Draws each replica exactly from its chain: N(beta y / (1 + beta), 1 / (1 + beta)).
struct ExactExplorer {
  std::vector<double> betas;
  std::vector<double> x = std::vector<double>(n_chains);
  std::vector<double> log_reference = x, v = x, statistics = x;

  Explored<double> operator()(std::size_t, const NextScan<double>& given) {
    const double log_2pi = std::log(2 * std::numbers::pi);
    for (std::size_t r = 0; r < n_chains; ++r) {
      const double beta = betas[static_cast<std::size_t>(given.chains[r])];
      x[r] = (beta * y + std::sqrt(1 + beta) * given.normals[r]) / (1 + beta);
      log_reference[r] = -0.5 * (x[r] * x[r] + log_2pi);
      v[r] = -0.5 * ((x[r] - y) * (x[r] - y) + log_2pi);
      statistics[r] = 1;
    }
    return {x, log_reference, v, statistics};
  }
};

struct Run {
  CoordinatorSettings settings{.seed = 7,
                               .n_chains = n_chains,
                               .dimension = 1,
                               .n_normals = 1,
                               .n_uniforms = 1,
                               .n_statistics = 1};
  Schedule schedule = Schedule::equally_spaced(n_chains);
  Coordinator coordinator{settings};
  ExactExplorer explorer{{schedule.betas().begin(), schedule.betas().end()}};

  void begin(std::size_t n_scans) {
    const std::vector<double> centre(n_chains, 0.0), scale(n_chains, 1.0);
    coordinator.begin_round(1, n_scans, schedule, centre, scale, sizeof(double), n_scans);
  }
};

}  // namespace

TEST_CASE("a path of exact draws gives its evidence and its moments") {
  Run run;
  constexpr std::size_t n_scans = 4096;
  run.begin(n_scans);
  run_scans<double>(run.coordinator, 0, std::ref(run.explorer));
  const auto data = run.coordinator.end_round();

  const RoundEvidence evidence =
      round_evidence(MatrixView<const double>{data->v.data(), n_scans, n_chains},
                     MatrixView<const std::uint32_t>{data->replicas.data(), n_scans, n_chains},
                     run.schedule.betas());
  const double exact = -0.5 * std::log(4 * std::numbers::pi) - y * y / 4;
  CHECK(std::abs(evidence.log_z - exact) < 5 * std::sqrt(evidence.variance));
  CHECK(evidence.flags.empty());

  for (std::size_t c = 0; c < n_chains; ++c) {
    const double beta = run.schedule.beta(Chain{static_cast<std::uint32_t>(c)});
    const double variance = 1 / (1 + beta);
    CHECK(data->moments[c].count == n_scans);
    CHECK(std::abs(data->moments[c].mean[0] - beta * y * variance) <
          5 * std::sqrt(variance / n_scans));
    CHECK(std::abs(data->moments[c].squared_deviation[0] / n_scans / variance - 1) <
          5 * std::sqrt(2.0 / n_scans));
    CHECK(data->statistic_sums[c] == n_scans);
  }
  CHECK(data->n_restarts > n_scans / 20);
  CHECK(run.coordinator.take_draws().log_reference.size() == n_scans);
}

TEST_CASE("a round that stops early is not a round") {
  Run run;
  run.begin(64);
  run.coordinator.begin_block(10, 0);
  run_scans<double>(run.coordinator, 0, std::ref(run.explorer));
  CHECK(run.coordinator.n_scans_done() == 10);
  CHECK_THROWS_AS((void)run.coordinator.end_round(), std::logic_error);
}

TEST_CASE("numbers that leave no way on are named") {
  Run run;
  run.begin(8);
  const auto explore = [&](std::size_t scan, const NextScan<double>& given) {
    const Explored<double> explored = run.explorer(scan, given);
    run.explorer.v[2] = std::numeric_limits<double>::infinity();
    return explored;
  };
  run_scans<double>(run.coordinator, 0, explore);
  CHECK(run.coordinator.failed());
  CHECK_THROWS_WITH_AS(run.coordinator.rethrow(),
                       doctest::Contains("replica 2, chain 2, beta 0.5, round 1, scan 1"),
                       NumericalError);
}
