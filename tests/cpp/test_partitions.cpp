/// Compares runs that are split over ranks and workers with the run of one, bit by bit.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "numpygeons/base/errors.hpp"
#include "numpygeons/engine/coordinator.hpp"
#include "numpygeons/engine/round.hpp"
#include "thread_ranks.hpp"

using namespace numpygeons;

namespace {

constexpr std::size_t n_scans = 96, dimension = 2;
constexpr double y = 1.5;

/// How a run is split.
struct Partition {
  std::size_t n_ranks{1}, n_workers{1};
};

/// Random-walk Metropolis on N(0, 1) in two dimensions with one observation of the first; the state
/// of a replica stays with its worker, as in a run.
class Walk {
 public:
  Walk(const Coordinator& coordinator, std::vector<double> betas, std::vector<double> x)
      : betas_(std::move(betas)), x_(std::move(x)), n_rows_(coordinator.n_rows()) {
    x_.resize(n_rows_ * dimension);
    log_reference_.resize(n_rows_);
    v_.resize(n_rows_);
    statistics_.resize(n_rows_);
  }

  Explored<double> operator()(std::size_t scan, const NextScan<double>& given) {
    if (before) before(scan);
    for (std::size_t r = 0; r < n_rows_; ++r) {
      const double beta = betas_[static_cast<std::size_t>(given.chains[r])];
      std::vector<double> there(dimension);
      for (std::size_t k = 0; k < dimension; ++k) {
        const double z = given.normals[r * dimension + k];
        there[k] = beta == 0 ? z : x_[r * dimension + k] + 0.8 * z;
      }
      const double ratio =
          log_reference(there) + beta * v(there) - log_reference(row(r)) - beta * v(row(r));
      if (beta == 0 || std::log(given.uniforms[r]) < ratio)
        std::ranges::copy(there, x_.begin() + static_cast<std::ptrdiff_t>(r * dimension));
      log_reference_[r] = log_reference(row(r));
      v_[r] = r == poisoned ? std::numeric_limits<double>::infinity() : v(row(r));
      statistics_[r] = std::exp(std::min(ratio, 0.0));
    }
    return {x_, log_reference_, v_, statistics_};
  }

  [[nodiscard]] const std::vector<double>& x() const { return x_; }
  std::function<void(std::size_t)> before;                         // each exploration
  std::size_t poisoned = std::numeric_limits<std::size_t>::max();  // row whose V is +inf

 private:
  [[nodiscard]] std::vector<double> row(std::size_t r) const {
    const auto first = x_.begin() + static_cast<std::ptrdiff_t>(r * dimension);
    return {first, first + dimension};
  }
  static double log_reference(const std::vector<double>& x) {
    return -0.5 * (x[0] * x[0] + x[1] * x[1]) - std::log(2 * std::numbers::pi);
  }
  static double v(const std::vector<double>& x) { return -2 * (x[0] - y) * (x[0] - y); }

  std::vector<double> betas_, x_;
  std::size_t n_rows_;
  std::vector<double> log_reference_, v_, statistics_;
};

/// What a rank has at the end.
struct Outcome {
  std::shared_ptr<RoundData> data;
  Draws draws;
  std::vector<std::uint32_t> chains;
  std::vector<double> x;  // (n_chains, dimension), by replica
};

/// A round in its middle.
struct Middle {
  UnfinishedRound scans;
  std::vector<double> x;
  Draws draws;
};

class Rank {
 public:
  Rank(std::size_t n_chains, std::shared_ptr<Communicator> ranks, std::size_t n_workers)
      : n_chains_(n_chains),
        ranks_(std::move(ranks)),
        schedule_(Schedule::equally_spaced(n_chains)),
        coordinator({.seed = 11,
                     .n_chains = n_chains,
                     .dimension = dimension,
                     .n_normals = dimension,
                     .n_uniforms = 1,
                     .n_statistics = 1,
                     .hands_out_keys = true,
                     .n_snapshots = 8},
                    ranks_, n_workers) {}

  void begin(const Middle* middle = nullptr) {
    const std::vector<double> centre(n_chains_ * dimension, 0.0), scale(n_chains_ * dimension, 1.0);
    coordinator.begin_round(3, n_scans, schedule_, centre, scale, sizeof(double), n_scans);
    if (middle != nullptr) coordinator.resume(middle->scans);
    const std::vector<double> betas(schedule_.betas().begin(), schedule_.betas().end());
    for (std::size_t w = 0; w < coordinator.n_workers(); ++w) {
      const Block own = coordinator.replicas_of(w);
      std::vector<double> x(own.count * dimension, 0.5);
      if (middle != nullptr) {
        const auto first = middle->x.begin() + static_cast<std::ptrdiff_t>(own.first * dimension);
        x.assign(first, first + static_cast<std::ptrdiff_t>(own.count * dimension));
      }
      walks.emplace_back(coordinator, betas, x);
    }
  }

  void scan(std::size_t n) {
    coordinator.begin_block(n, 0);
    in_threads(coordinator.n_workers(), [&](std::size_t w) {
      try {
        run_scans<double>(coordinator, w, std::ref(walks[w]));
      } catch (const std::exception& error) {
        errors.at(w) = error.what();
      }
    });
  }

  /// States of all replicas.
  [[nodiscard]] std::vector<double> states() const {
    const std::size_t width = largest_block(n_chains_, ranks_->size()) * dimension;
    std::vector<double> own, all(width * ranks_->size()), result;
    for (std::size_t w = 0; w < walks.size(); ++w) {
      const std::size_t n = coordinator.replicas_of(w).count * dimension;
      own.insert(own.end(), walks[w].x().begin(),
                 walks[w].x().begin() + static_cast<std::ptrdiff_t>(n));
    }
    own.resize(width);
    ranks_->allgather(std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(all)));
    for (std::size_t rank = 0; rank < ranks_->size(); ++rank) {
      const auto first = all.begin() + static_cast<std::ptrdiff_t>(rank * width);
      const std::size_t n = block_of(n_chains_, ranks_->size(), rank).count * dimension;
      result.insert(result.end(), first, first + static_cast<std::ptrdiff_t>(n));
    }
    return result;
  }

  Middle middle() {
    Draws draws = coordinator.take_draws();
    return {coordinator.unfinished(), states(), std::move(draws)};
  }

  Outcome end() {
    Draws draws = coordinator.take_draws();
    auto data = coordinator.end_round();
    return {std::move(data), std::move(draws), coordinator.chains(), states()};
  }

 private:
  std::size_t n_chains_;
  std::shared_ptr<Communicator> ranks_;
  Schedule schedule_;

 public:
  Coordinator coordinator;
  std::vector<Walk> walks;
  std::vector<std::string> errors = std::vector<std::string>(8);
};

/// Lets every rank of a partition do `work`, in a thread each.
void on_ranks(std::size_t n_chains, Partition partition,
              const std::function<void(Rank&, std::size_t)>& work) {
  const auto table = std::make_shared<Table>(partition.n_ranks);
  in_threads(partition.n_ranks, [&](std::size_t r) {
    Rank rank(n_chains, std::make_shared<ThreadRank>(table, r), partition.n_workers);
    work(rank, r);
  });
}

std::vector<Outcome> whole(std::size_t n_chains, Partition partition) {
  std::vector<Outcome> outcomes(partition.n_ranks);
  on_ranks(n_chains, partition, [&](Rank& rank, std::size_t r) {
    rank.begin();
    rank.scan(n_scans);
    outcomes[r] = rank.end();
  });
  return outcomes;
}

/// Stops after `n_done` scans of one partition and goes on with another.
std::vector<Outcome> resumed(std::size_t n_chains, Partition first, Partition second,
                             std::size_t n_done) {
  std::vector<Middle> middles(first.n_ranks);
  on_ranks(n_chains, first, [&](Rank& rank, std::size_t r) {
    rank.begin();
    rank.scan(n_done);
    middles[r] = rank.middle();
  });
  std::vector<Outcome> outcomes(second.n_ranks);
  on_ranks(n_chains, second, [&](Rank& rank, std::size_t r) {
    rank.begin(&middles.back());
    rank.scan(n_scans - n_done);
    outcomes[r] = rank.end();
    Draws draws = middles.back().draws;
    draws.x.insert(draws.x.end(), outcomes[r].draws.x.begin(), outcomes[r].draws.x.end());
    draws.log_reference.insert(draws.log_reference.end(), outcomes[r].draws.log_reference.begin(),
                               outcomes[r].draws.log_reference.end());
    outcomes[r].draws = draws;
  });
  return outcomes;
}

void check_same(const Outcome& got, const Outcome& wanted) {
  CHECK(got.data->v == wanted.data->v);
  CHECK(got.data->replicas == wanted.data->replicas);
  CHECK(got.data->statistic_sums == wanted.data->statistic_sums);
  CHECK(got.data->snapshots == wanted.data->snapshots);
  CHECK(got.data->n_restarts == wanted.data->n_restarts);
  CHECK(got.data->n_round_trips == wanted.data->n_round_trips);
  REQUIRE(got.data->moments.size() == wanted.data->moments.size());
  for (std::size_t c = 0; c < wanted.data->moments.size(); ++c) {
    CHECK(got.data->moments[c].count == wanted.data->moments[c].count);
    CHECK(got.data->moments[c].mean == wanted.data->moments[c].mean);
    CHECK(got.data->moments[c].squared_deviation == wanted.data->moments[c].squared_deviation);
  }
  CHECK(got.draws.x == wanted.draws.x);
  CHECK(got.draws.log_reference == wanted.draws.log_reference);
  CHECK(got.chains == wanted.chains);
  CHECK(got.x == wanted.x);
}

constexpr Partition partitions[] = {{1, 2}, {1, 3}, {1, 4}, {2, 1}, {2, 2}, {3, 1}, {2, 3}, {4, 2}};

}  // namespace

TEST_CASE("ranks and workers do not show in a round") {
  for (const std::size_t n_chains : {3, 7}) {
    const Outcome one = whole(n_chains, {})[0];
    CHECK(one.data->n_restarts > 0);
    CHECK(one.data->snapshots.size() == 8 * n_chains * dimension);
    CHECK(one.draws.log_reference.size() == n_scans);
    for (const Partition partition : partitions) {
      CAPTURE(n_chains);
      CAPTURE(partition.n_ranks);
      CAPTURE(partition.n_workers);
      for (const Outcome& outcome : whole(n_chains, partition)) check_same(outcome, one);
    }
  }
}

TEST_CASE("a worker's arrays have the same shapes in every partition") {
  for (const std::size_t n_chains : {1, 3, 7})
    for (const Partition partition : partitions)
      on_ranks(n_chains, partition, [&](Rank& rank, std::size_t) {
        CHECK(rank.coordinator.n_rows() == std::max<std::size_t>(n_chains, 2));
      });
}

TEST_CASE("a round goes on from its middle in any other partition") {
  for (const std::size_t n_chains : {3, 7}) {
    const Outcome one = whole(n_chains, {})[0];
    for (const std::size_t n_done : {1, 37, 95}) {
      for (const auto& [first, second] : {std::pair{Partition{1, 1}, Partition{2, 2}},
                                          {Partition{2, 2}, Partition{1, 3}},
                                          {Partition{3, 1}, Partition{2, 1}},
                                          {Partition{1, 4}, Partition{4, 2}}}) {
        CAPTURE(n_chains);
        CAPTURE(n_done);
        for (const Outcome& outcome : resumed(n_chains, first, second, n_done))
          check_same(outcome, one);
      }
    }
  }
}

TEST_CASE("a worker that fails stops all workers of all ranks in that scan") {
  for (const Partition partition : partitions) {
    for (const std::size_t at : {0, 17}) {
      std::vector<std::vector<std::string>> errors(partition.n_ranks);
      on_ranks(7, partition, [&](Rank& rank, std::size_t r) {
        rank.begin();
        const std::size_t failing = partition.n_workers - 1;
        if (r + 1 == partition.n_ranks)
          rank.walks[failing].before = [at](std::size_t scan) {
            if (scan == at) throw std::runtime_error("of its own");
          };
        rank.scan(n_scans);
        CHECK(rank.coordinator.failed());
        CHECK_FALSE(rank.coordinator.stopped());
        CHECK(rank.coordinator.n_scans_done() == at);
        CHECK_NOTHROW(rank.coordinator.rethrow());  // the exploration's, which threw it
        for (std::size_t w = 0; w < partition.n_workers; ++w)
          CHECK(rank.errors[w] == (r + 1 == partition.n_ranks && w == failing ? "of its own" : ""));
        rank.walks.clear();  // and a round begun anew is as if nothing had been
        rank.coordinator.set_chains(std::vector<std::uint32_t>{0, 1, 2, 3, 4, 5, 6});
        rank.begin();
        rank.scan(n_scans);
        CHECK_FALSE(rank.coordinator.failed());
        CHECK(rank.end().data->n_scans == n_scans);
      });
    }
  }
}

TEST_CASE("numbers that leave no way on are named on all ranks") {
  for (const Partition partition : partitions) {
    on_ranks(7, partition, [&](Rank& rank, std::size_t) {
      rank.begin();
      for (std::size_t w = 0; w < partition.n_workers; ++w) {
        const Block own = rank.coordinator.replicas_of(w);
        if (own.first > 5 || own.first + own.count <= 5) continue;
        rank.walks[w].before = [&rank, w, row = 5 - own.first](std::size_t scan) {
          if (scan == 9) rank.walks[w].poisoned = row;
        };
      }
      rank.scan(n_scans);
      CHECK(rank.coordinator.failed());
      CHECK_THROWS_WITH_AS(rank.coordinator.rethrow(), doctest::Contains("replica 5, chain"),
                           NumericalError);
      CHECK(rank.coordinator.n_scans_done() == 9);
    });
  }
}

TEST_CASE("a request to stop on one rank ends the scans of all at the same one") {
  for (const Partition partition : partitions) {
    std::vector<std::size_t> n_done(partition.n_ranks);
    on_ranks(7, partition, [&](Rank& rank, std::size_t r) {
      rank.begin();
      if (r == 0)
        rank.walks[0].before = [&rank](std::size_t scan) {
          if (scan == 20) std::jthread([&rank] { rank.coordinator.request_stop(); });
        };
      rank.scan(n_scans);
      n_done[r] = rank.coordinator.n_scans_done();
      CHECK(rank.coordinator.stopped());
      CHECK_FALSE(rank.coordinator.failed());
    });
    for (const std::size_t n : n_done) CHECK(n == 21);
  }
}
