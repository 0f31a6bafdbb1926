/// Compares blocks of scans that run elsewhere with scans that the coordinator hands out one by
/// one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "numpygeons/base/errors.hpp"
#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/engine/replay.hpp"
#include "numpygeons/engine/round.hpp"
#include "numpygeons/random/streams.hpp"
#include "numpygeons/tempering/deo.hpp"

using namespace numpygeons;

namespace {

constexpr std::size_t n_chains = 5, n_scans = 16, dimension = 2, n_normals = 3, n_uniforms = 2;
constexpr std::size_t n_proposals = 4;
constexpr std::uint32_t round_number = 3;

/// A coordinator in its round, whose chains propose 0, 1, 2, 3 and 4 times.
struct Run {
  explicit Run(std::size_t n_workers = 1)
      : coordinator({.seed = 11,
                     .n_chains = n_chains,
                     .dimension = dimension,
                     .n_normals = n_normals,
                     .n_uniforms = n_uniforms,
                     .n_statistics = 1,
                     .hands_out_keys = true,
                     .n_proposals = n_proposals},
                    nullptr, n_workers) {
    const std::vector<double> log_weights(2 * n_chains), means(2 * n_chains * dimension, 1.0);
    std::vector<double> factors;
    for (std::size_t i = 0; i < 2 * n_chains; ++i)
      factors.insert(factors.end(), {1.0, 0.0, 0.5, 2.0});
    const std::vector<std::int32_t> counts{0, 1, 2, 3, 4};
    coordinator.set_proposals(
        {Proposals({n_chains, 2, dimension, n_proposals, log_weights, means, factors, counts})});
    const std::vector<double> centre(n_chains * dimension, 0.0), scale(n_chains * dimension, 1.0);
    coordinator.begin_round(round_number, n_scans, Schedule::equally_spaced(n_chains), centre,
                            scale, sizeof(double), n_scans);
  }

  Coordinator coordinator;
};

/// Whether row `a` of one array is row `b` of another.
template <class T>
bool same_row(std::span<const T> one, std::size_t a, std::span<const T> other, std::size_t b,
              std::size_t width) {
  return std::ranges::equal(one.subspan(a * width, width), other.subspan(b * width, width));
}

/// Scans of states that are their normals; all that is handed in is kept, and the chains after it.
struct Recorded {
  std::vector<double> x, log_reference, v, statistics;
  std::vector<std::int32_t> chains;

  [[nodiscard]] ExploredBlock<double> scans(std::size_t first, std::size_t n) const {
    const auto part = [&](const auto& all, std::size_t width) {
      return std::span(all).subspan(first * n_chains * width, n * n_chains * width);
    };
    return {{part(x, dimension), part(log_reference, 1), part(v, 1), part(statistics, 1)},
            part(chains, 1)};
  }
};

Recorded recorded(Coordinator& coordinator) {
  Recorded all;
  const auto explore = [&](std::size_t scan, const NextScan<double>& given) {
    if (scan > 0) all.chains.insert(all.chains.end(), given.chains.begin(), given.chains.end());
    for (std::size_t r = 0; r < n_chains; ++r) {
      for (std::size_t k = 0; k < dimension; ++k) all.x.push_back(given.normals[r * n_normals + k]);
      all.log_reference.push_back(-std::abs(given.normals[r * n_normals]));
      all.v.push_back(2 * given.normals[r * n_normals + 2]);
      all.statistics.push_back(given.uniforms[r * n_uniforms]);
    }
    const auto last = [](const std::vector<double>& rows, std::size_t width) {
      return std::span(rows).last(n_chains * width);
    };
    return Explored<double>{last(all.x, dimension), last(all.log_reference, 1), last(all.v, 1),
                            last(all.statistics, 1)};
  };
  run_scans<double>(coordinator, 0, explore);
  for (const std::uint32_t chain : coordinator.chains())
    all.chains.push_back(static_cast<std::int32_t>(chain));
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("the randomness of a block is that of its scans", Real, float, double) {
  Run run;
  constexpr std::size_t first = 3;
  const Owned<BlockNoise<Real>> owned(run.coordinator.settings(), (n_scans - first) * n_chains);
  const BlockNoise<Real>& block = owned.arrays();
  fill(block, -9);  // which no draw is
  draw_block(run.coordinator, first, n_scans - first, block);
  std::vector<Real> x(n_chains * dimension), ones(n_chains, Real{1});
  std::size_t n_compared = 0;
  const auto explore = [&](std::size_t scan, const NextScan<Real>& given) {
    for (std::size_t r = 0; scan >= first && r < n_chains; ++r, ++n_compared) {
      const std::size_t place = (scan - first) * n_chains;
      const auto same = [&](const auto& got, const auto& all, std::size_t row, std::size_t width) {
        using T = std::remove_cvref_t<decltype(got[0])>;
        return same_row<T>(got, r, all, place + row, width);
      };
      const auto chain = static_cast<std::size_t>(given.chains[r]);
      CHECK(same(given.normals, block.normals, r, n_normals));
      CHECK(same(given.uniforms, block.uniforms, r, n_uniforms));
      CHECK(same(given.keys, block.keys, r, 2));
      CHECK(same(given.proposals, block.proposals, chain, n_proposals * dimension));
      CHECK(same(given.proposal_logs, block.proposal_logs, chain, n_proposals * n_proposal_logs));
      CHECK(same(given.proposal_components, block.proposal_components, chain, n_proposals));
      const Chain lower{static_cast<std::uint32_t>(r)};
      const double got = block.log_swap_uniforms[place + r];
      if (deo_partner(lower, scan + 1, n_chains) > lower)
        CHECK(got == doctest::Approx(std::log(swap_uniform(11, round_number, scan + 1, lower)))
                         .epsilon(1e-14));
      else
        CHECK(got == 0.0);
    }
    return Explored<Real>{x, ones, ones, ones};
  };
  run_scans<Real>(run.coordinator, 0, explore);
  run.coordinator.rethrow();
  CHECK(n_compared == (n_scans - first) * n_chains);
}

TEST_CASE("a replay ends as the run that was recorded") {
  Run run, again;
  const Recorded all = recorded(run.coordinator);
  for (std::size_t first = 0; first < n_scans; first += 4)
    CHECK(replay(again.coordinator, 4, all.scans(first, 4)));
  CHECK(again.coordinator.chains() == run.coordinator.chains());
  const Draws draws = run.coordinator.take_draws(), replayed = again.coordinator.take_draws();
  CHECK(replayed.x == draws.x);
  const auto data = run.coordinator.end_round(), other = again.coordinator.end_round();
  CHECK(other->v == data->v);
  CHECK(other->replicas == data->replicas);
  CHECK(other->statistic_sums == data->statistic_sums);
  CHECK(other->n_round_trips == data->n_round_trips);
  CHECK(other->moments[1].mean == data->moments[1].mean);
}

TEST_CASE("a replay names the first replica that went elsewhere") {
  Run run, again;
  Recorded all = recorded(run.coordinator);
  std::int32_t* const chains = all.chains.data() + 6 * n_chains;  // after the seventh scan
  std::swap(chains[1], chains[4]);
  CHECK(replay(again.coordinator, 4, all.scans(0, 4)));
  CHECK_FALSE(replay(again.coordinator, 8, all.scans(4, 8)));
  CHECK(again.coordinator.failed());
  CHECK(again.coordinator.n_scans_done() == 7);
  const std::string message = "round 3, scan 7, replica 1 went to chain " +
                              std::to_string(chains[1]) + " instead of " +
                              std::to_string(chains[4]);
  CHECK_THROWS_WITH_AS(again.coordinator.rethrow(), doctest::Contains(message.c_str()),
                       ReproducibilityError);
  CHECK_THROWS_AS((void)again.coordinator.end_round(), std::logic_error);
}

TEST_CASE("a replay names numbers that leave no way on, and stops when it is asked to") {
  Run run, bad, stopped, stopped_last;
  Recorded all = recorded(run.coordinator);
  stopped.coordinator.request_stop();
  CHECK_FALSE(replay(stopped.coordinator, 8, all.scans(0, 8)));
  CHECK(stopped.coordinator.n_scans_done() == 1);
  CHECK(stopped.coordinator.stopped());
  stopped.coordinator.rethrow();
  stopped_last.coordinator.request_stop();
  CHECK_FALSE(replay(stopped_last.coordinator, 1, all.scans(0, 1)));
  all.v[5 * n_chains + 2] = std::numeric_limits<double>::infinity();
  CHECK_FALSE(replay(bad.coordinator, 8, all.scans(0, 8)));
  CHECK(bad.coordinator.n_scans_done() == 5);
  CHECK_THROWS_WITH_AS(bad.coordinator.rethrow(), doctest::Contains("+inf: replica 2, chain"),
                       NumericalError);
}

TEST_CASE("blocks that do not fit are errors") {
  Run run, two(2);
  Coordinator idle({.n_chains = n_chains, .dimension = dimension});
  const Recorded all = recorded(run.coordinator);
  const Owned<BlockNoise<double>> owned(run.coordinator.settings(), 4 * n_chains);
  const BlockNoise<double>& noise = owned.arrays();
  Run fresh;
  CHECK_THROWS_AS(draw_block(fresh.coordinator, 13, 4, noise), std::invalid_argument);
  CHECK_THROWS_AS(draw_block(fresh.coordinator, 0, 3, noise), std::invalid_argument);
  CHECK_THROWS_AS((void)replay(fresh.coordinator, 3, all.scans(0, 4)), std::invalid_argument);
  fresh.coordinator.begin_block(3, 0);
  CHECK_THROWS_AS((void)replay(fresh.coordinator, 4, all.scans(0, 4)), std::invalid_argument);
  CHECK_THROWS_AS(draw_block(two.coordinator, 0, 4, noise), std::logic_error);
  CHECK_THROWS_AS((void)replay(two.coordinator, 4, all.scans(0, 4)), std::logic_error);
  CHECK_THROWS_AS(draw_block(idle, 0, 0, noise), std::logic_error);
}
