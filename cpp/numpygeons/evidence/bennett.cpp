/// Estimates the ratio of neighbouring normalising constants by Bennett's acceptance ratio.
#include "numpygeons/evidence/bennett.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "numpygeons/base/vectorised.hpp"
#include "numpygeons/evidence/influence.hpp"
#include "numpygeons/evidence/inputs.hpp"
#include "numpygeons/evidence/stepping_stone.hpp"
#include "numpygeons/math/log_sum.hpp"

namespace numpygeons {

namespace {

constexpr std::size_t block_width = 64;

/// What one trial value of c gives: left minus right of Bennett's equation, and its slope.
struct Balance {
  double excess{};
  double slope{};
};

/// Summed by place in the block first, so that all loops vectorise.
NUMPYGEONS_VECTORISED Balance balance(std::span<const double> lower, std::span<const double> upper,
                                      double c) {
  std::array<double, block_width> excess{};
  std::array<double, block_width> slope{};
  for (std::size_t start = 0; start < lower.size(); start += block_width) {
    const std::size_t count = std::min(block_width, lower.size() - start);
    for (std::size_t b = 0; b < count; ++b) {
      const double p = logistic(lower[start + b] - c);
      const double q = logistic(c - upper[start + b]);
      excess[b] += p - q;
      slope[b] += p * (1.0 - p) + q * (1.0 - q);
    }
  }
  Balance result;
  for (const double term : excess) result.excess += term;
  for (const double term : slope) result.slope += term;
  return result;
}

void fill_column(MatrixView<const double> v, std::size_t chain, double delta,
                 std::span<double> out) {
  for (std::size_t s = 0; s < v.n_rows; ++s) out[s] = delta * floored(v(s, chain));
}

/// Where the balance has its root, and its slope there.
struct Root {
  double c{};
  double slope{};
};

/// Newton's steps, of which the last leaves about its square; `start` must be finite.
Root solve(std::span<const double> lower, std::span<const double> upper, double start) {
  constexpr int max_steps = 60;
  constexpr double longest_step = 20.0;
  constexpr double tolerance = 1e-8;
  constexpr double infinity = std::numeric_limits<double>::infinity();
  double c = start;
  double low = -infinity;
  double high = infinity;
  Balance now;
  for (int n_steps = 0; n_steps < max_steps; ++n_steps) {
    now = balance(lower, upper, c);
    (now.excess > 0.0 ? low : high) = c;
    const double step =
        std::clamp(now.excess / std::max(now.slope, 1e-300), -longest_step, longest_step);
    const bool outside = c + step <= low || c + step >= high;
    // A step too short to matter ends the search before the bracket, which it may touch, is asked.
    if (std::fabs(step) >= tolerance && outside && std::isfinite(low) && std::isfinite(high)) {
      c = 0.5 * (low + high);
    } else {
      c += step;
    }
    if (std::fabs(step) < tolerance) break;
  }
  return {.c = c, .slope = now.slope};
}

}  // namespace

std::size_t Bennett::worst_pair() const noexcept {
  return static_cast<std::size_t>(std::ranges::min_element(overlaps) - overlaps.begin());
}

Bennett bennett(MatrixView<const double> v, std::span<const double> betas) {
  SteppingStone stones = stepping_stone(v, betas);
  Bennett result;
  std::vector<double> lower(v.n_rows);
  std::vector<double> upper(v.n_rows);
  for (std::size_t i = 0; i + 1 < betas.size(); ++i) {
    const double delta = betas[i + 1] - betas[i];
    fill_column(v, i, delta, lower);
    fill_column(v, i + 1, delta, upper);
    const double middle = 0.5 * (stones.forward[i] + stones.backward[i]);
    if (std::isfinite(middle)) {
      const Root root = solve(lower, upper, middle);
      result.log_ratios.push_back(root.c);
      result.overlaps.push_back(root.slope / static_cast<double>(v.n_rows));
    } else {
      result.log_ratios.push_back(middle);
      result.overlaps.push_back(0.0);
    }
  }
  result.forward = std::move(stones.forward);
  result.backward = std::move(stones.backward);
  return result;
}

std::vector<double> bennett_influence(MatrixView<const double> v, std::span<const double> betas,
                                      const Bennett& pairs, std::size_t first, std::size_t last) {
  std::vector<double> influence(v.size(), 0.0);
  std::vector<double> p(v.n_rows);
  std::vector<double> q(v.n_rows);
  for (std::size_t i = first; i < last; ++i) {
    const double delta = betas[i + 1] - betas[i];
    const double c = pairs.log_ratios[i];
    fill_column(v, i, delta, p);
    fill_column(v, i + 1, delta, q);
    double sum_p = 0.0;
    double sum_q = 0.0;
    for (double& x : p) sum_p += (x = logistic(x - c));
    for (double& x : q) sum_q += (x = logistic(c - x));
    const double scale_p = static_cast<double>(v.n_rows) / sum_p;
    const double scale_q = static_cast<double>(v.n_rows) / sum_q;
    for (std::size_t s = 0; s < v.n_rows; ++s) {
      influence[s * v.n_columns + i] += p[s] * scale_p;
      influence[s * v.n_columns + i + 1] -= q[s] * scale_q;
    }
  }
  center_columns({influence.data(), v.n_rows, v.n_columns});
  return influence;
}

}  // namespace numpygeons
