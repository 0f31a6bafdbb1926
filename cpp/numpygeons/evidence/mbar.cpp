/// Estimates the normalising constants of all chains together (MBAR), with influence values.
#include "numpygeons/evidence/mbar.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "numpygeons/evidence/influence.hpp"
#include "numpygeons/evidence/mixture.hpp"

namespace numpygeons {

namespace {

std::optional<Cholesky> factor_without_first(const std::vector<double>& hessian, std::size_t n) {
  std::vector<double> inner;
  inner.reserve((n - 1) * (n - 1));
  for (std::size_t k = 1; k < n; ++k) {
    for (std::size_t l = 1; l < n; ++l) inner.push_back(hessian[k * n + l]);
  }
  return Cholesky::factor(inner, n - 1);
}

/// When Newton's steps end: after so many, or after one that moves nothing by more than so much.
struct End {
  std::size_t n_steps{};
  double largest_move{};
};

/// A pass over all log ratios per step, and one more for the Hessian at the end if the number of
/// steps ends them; after a small enough step that of the step will do.
std::optional<MbarFit> newton(MatrixView<const double> v, std::span<const double> betas,
                              std::span<const double> start, std::span<const double> weights,
                              End end) {
  constexpr double longest_step = 5.0;
  const std::size_t n_chains = betas.size();
  std::vector<double> f(start.begin(), start.end());
  double largest_move = std::numeric_limits<double>::infinity();
  for (std::size_t n_taken = 0;; ++n_taken) {
    const MbarEquations now = mbar_equations(v, betas, f, weights);
    std::optional<Cholesky> factor = factor_without_first(now.hessian, n_chains);
    if (!factor) return std::nullopt;
    if (n_taken < end.n_steps) {
      const std::vector<double> move = factor->solve(std::span(now.score).subspan(1));
      largest_move = 0.0;
      for (std::size_t k = 1; k < n_chains; ++k) {
        if (!std::isfinite(move[k - 1])) return std::nullopt;
        f[k] -= std::clamp(move[k - 1], -longest_step, longest_step);
        largest_move = std::max(largest_move, std::fabs(move[k - 1]));
      }
    }
    if (n_taken == end.n_steps || largest_move <= end.largest_move) {
      return MbarFit{.f = std::move(f),
                     .weights = {weights.begin(), weights.end()},
                     .factor = std::move(*factor),
                     .last_move = largest_move};
    }
  }
}

}  // namespace

std::vector<double> MbarFit::direction(std::size_t chain) const {
  std::vector<double> unit(f.size(), 0.0);
  unit[chain] = 1.0;
  return apply(unit);
}

std::vector<double> MbarFit::apply(std::span<const double> right) const {
  std::vector<double> result = factor.solve(right.subspan(1));
  result.insert(result.begin(), 0.0);
  return result;
}

MbarEquations mbar_equations(MatrixView<const double> v, std::span<const double> betas,
                             std::span<const double> f, std::span<const double> weights) {
  const std::size_t n_chains = betas.size();
  Mixture mixture(betas, f, weights);
  MbarEquations result{.score = std::vector<double>(n_chains, 0.0),
                       .hessian = std::vector<double>(n_chains * n_chains, 0.0)};
  std::array<double, Mixture::width> weighted{};
  for (std::size_t start = 0; start < v.size(); start += Mixture::width) {
    const std::size_t count = std::min(Mixture::width, v.size() - start);
    mixture.evaluate({v.data + start, count});
    const auto a = block_weights(weights, start, count);
    for (std::size_t k = 0; k < n_chains; ++k) {
      const double* const p = mixture.probabilities(k);
      for (std::size_t b = 0; b < Mixture::width; ++b) weighted[b] = a[b] * p[b];
      result.score[k] += block_dot(a.data(), p);
      for (std::size_t l = 0; l <= k; ++l) {
        result.hessian[k * n_chains + l] -= block_dot(weighted.data(), mixture.probabilities(l));
      }
    }
  }
  const auto n_scans = static_cast<double>(v.n_rows);
  for (std::size_t k = 0; k < n_chains; ++k) {
    double* const row = &result.hessian[k * n_chains];
    row[k] += result.score[k];
    for (std::size_t l = 0; l <= k; ++l) {
      row[l] /= n_scans;
      result.hessian[l * n_chains + k] = row[l];
    }
    result.score[k] = result.score[k] / n_scans - weights[k];
  }
  return result;
}

std::optional<MbarFit> mbar(MatrixView<const double> v, std::span<const double> betas,
                            std::span<const double> start, std::span<const double> weights,
                            std::size_t n_steps) {
  return newton(v, betas, start, weights, {.n_steps = n_steps, .largest_move = -1.0});
}

std::optional<MbarFit> mbar_step(MatrixView<const double> v, std::span<const double> betas,
                                 std::span<const double> start, std::span<const double> weights) {
  constexpr double any = std::numeric_limits<double>::infinity();
  return newton(v, betas, start, weights, {.n_steps = 1, .largest_move = any});
}

std::optional<MbarFit> mbar_root(MatrixView<const double> v, std::span<const double> betas,
                                 std::span<const double> start, std::span<const double> weights) {
  constexpr End end{.n_steps = 20, .largest_move = 1e-3};
  auto fit = newton(v, betas, start, weights, end);
  if (fit && fit->last_move > end.largest_move) return std::nullopt;
  return fit;
}

std::vector<double> mbar_influence(MatrixView<const double> v, std::span<const double> betas,
                                   const MbarFit& fit, std::span<const double> direction) {
  Mixture mixture(betas, fit.f, fit.weights);
  std::vector<double> influence(v.size());
  std::array<double, Mixture::width> sum{};
  for (std::size_t start = 0; start < v.size(); start += Mixture::width) {
    const std::size_t count = std::min(Mixture::width, v.size() - start);
    mixture.evaluate({v.data + start, count});
    const auto a = block_weights(fit.weights, start, count);
    sum.fill(0.0);
    for (std::size_t k = 0; k < betas.size(); ++k) {
      const double* const p = mixture.probabilities(k);
      for (std::size_t b = 0; b < Mixture::width; ++b) sum[b] += direction[k] * p[b];
    }
    for (std::size_t b = 0; b < count; ++b) influence[start + b] = a[b] * sum[b];
  }
  center_columns({influence.data(), v.n_rows, v.n_columns});
  return influence;
}

}  // namespace numpygeons
