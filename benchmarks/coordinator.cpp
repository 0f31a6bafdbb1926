/// Times the coordinator alone: nanoseconds per replica and scan, without any exploration.
///
///   cmake -S . -B build/benchmarks -DCMAKE_BUILD_TYPE=Release -DNUMPYGEONS_BENCHMARKS=ON
///   cmake --build build/benchmarks && build/benchmarks/benchmarks/coordinator
#include "numpygeons/engine/coordinator.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "numpygeons/random/streams.hpp"

using namespace numpygeons;

namespace {

constexpr std::size_t n_repeats = 5;

/// Scans of states that do not move: V is drawn once, so that swaps are accepted now and then.
double nanoseconds(std::size_t n_chains, std::size_t dimension, std::size_t n_scans) {
  CoordinatorSettings settings{.n_chains = n_chains, .dimension = dimension, .n_statistics = 2};
  Coordinator coordinator(settings);
  const std::vector<double> centre(n_chains * dimension, 0.0), scale(n_chains * dimension, 1.0);
  std::vector<double> x(n_chains * dimension), log_reference(n_chains), v(n_chains);
  std::vector<double> statistics(2 * n_chains, 1.0);
  Stream stream({.seed = 1});
  stream.fill_normals(std::span(x));
  stream.fill_normals(std::span(v));
  const Owned<NextScan<double>> owned(settings, n_chains);
  const NextScan<double>& next = owned.arrays();
  const Explored<double> explored{x, log_reference, v, statistics};
  std::vector<double> times;
  for (std::uint32_t round = 1; round <= n_repeats; ++round) {
    coordinator.begin_round(round, n_scans, Schedule::equally_spaced(n_chains), centre, scale,
                            sizeof(double), n_scans);
    const auto start = std::chrono::steady_clock::now();
    coordinator.prepare(0, next);
    while (coordinator.scan(0, explored, next)) {
    }
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    coordinator.rethrow();
    times.push_back(taken.count() / static_cast<double>(n_scans * n_chains));
  }
  std::ranges::sort(times);
  return times[n_repeats / 2];
}

}  // namespace

int main() {
  std::printf("%10s %10s %s\n", "chains", "dimension", "ns per replica and scan");
  for (const std::size_t dimension : {1, 10})
    for (const std::size_t n_chains : {3, 10, 100, 1'000, 10'000})
      std::printf("%10zu %10zu %.1f\n", n_chains, dimension,
                  nanoseconds(n_chains, dimension, std::max<std::size_t>(200, 200'000 / n_chains)));
}
