/// Reweights the states of all chains to a beta between them.
#include "numpygeons/evidence/reweighting.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "numpygeons/evidence/influence.hpp"
#include "numpygeons/evidence/mixture.hpp"
#include "numpygeons/math/log_sum.hpp"

namespace numpygeons {

namespace {

/// One query while the scans go by.
struct Query {
  double beta{};
  double shift{};  // no weight exceeds exp(shift): log Z is convex, and so is log W in beta
  double sum{};    // of exp(-shift) W over scans and chains
  std::vector<double> shares{};     // p_k averaged under W, by chain
  std::vector<double> direction{};  // shares times the inverse Hessian
};

Query make_query(std::span<const double> betas, std::span<const double> f, double beta) {
  const std::size_t i = pair_around(betas, beta);
  const double t = (beta - betas[i]) / (betas[i + 1] - betas[i]);
  return {.beta = beta,
          .shift = -((1.0 - t) * f[i] + t * f[i + 1]),
          .shares = std::vector<double>(betas.size(), 0.0)};
}

using Block = std::array<double, Mixture::width>;

/// exp(-shift) W along a block.
void fill_weights(const Query& query, const Mixture& mixture, const Block& log_denominator,
                  const Block& a, Block& out) {
  const Block& v = mixture.log_ratios();
  for (std::size_t b = 0; b < Mixture::width; ++b) {
    out[b] = exp_nonpositive((query.beta * v[b] - log_denominator[b]) - query.shift);
  }
  for (std::size_t b = 0; b < Mixture::width; ++b) out[b] *= a[b];
}

}  // namespace

std::size_t pair_around(std::span<const double> betas, double query) noexcept {
  const auto above = std::lower_bound(betas.begin() + 1, betas.end() - 1, query);
  return static_cast<std::size_t>(above - betas.begin()) - 1;
}

std::vector<CurvePoint> reweight(MatrixView<const double> v, std::span<const double> betas,
                                 const MbarFit& fit, std::span<const double> queries) {
  const std::size_t n_chains = betas.size();
  std::vector<Query> states;
  for (const double beta : queries) states.push_back(make_query(betas, fit.f, beta));
  Mixture mixture(betas, fit.f, fit.weights);
  Block weight{};
  for (std::size_t start = 0; start < v.size(); start += Mixture::width) {
    const std::size_t count = std::min(Mixture::width, v.size() - start);
    mixture.evaluate({v.data + start, count});
    const Block a = block_weights(fit.weights, start, count);
    const Block log_denominator = mixture.log_denominator();
    for (Query& query : states) {
      fill_weights(query, mixture, log_denominator, a, weight);
      for (std::size_t b = 0; b < count; ++b) query.sum += weight[b];
      for (std::size_t k = 0; k < n_chains; ++k) {
        query.shares[k] += block_dot(weight.data(), mixture.probabilities(k));
      }
    }
  }

  const auto n_scans = static_cast<double>(v.n_rows);
  std::vector<CurvePoint> points;
  for (Query& query : states) {
    for (double& share : query.shares) share /= query.sum;
    query.direction = fit.apply(query.shares);
    points.push_back({.log_z = query.shift + std::log(query.sum / n_scans),
                      .influence = std::vector<double>(v.size())});
  }

  Block passed_on{};
  for (std::size_t start = 0; start < v.size(); start += Mixture::width) {
    const std::size_t count = std::min(Mixture::width, v.size() - start);
    mixture.evaluate({v.data + start, count});
    const Block a = block_weights(fit.weights, start, count);
    const Block log_denominator = mixture.log_denominator();
    for (std::size_t q = 0; q < states.size(); ++q) {
      const Query& query = states[q];
      fill_weights(query, mixture, log_denominator, a, weight);
      passed_on.fill(0.0);
      for (std::size_t k = 0; k < n_chains; ++k) {
        const double* const p = mixture.probabilities(k);
        const double factor = query.direction[k];
        for (std::size_t b = 0; b < Mixture::width; ++b) passed_on[b] += factor * p[b];
      }
      const double scale = n_scans / query.sum;
      for (std::size_t b = 0; b < count; ++b) {
        points[q].influence[start + b] = scale * weight[b] + a[b] * passed_on[b];
      }
    }
  }
  for (std::size_t q = 0; q < states.size(); ++q) {
    if (queries[q] == betas[0]) {  // the zero of the scale, without error
      points[q].log_z = 0.0;
      std::fill(points[q].influence.begin(), points[q].influence.end(), 0.0);
    }
    center_columns({points[q].influence.data(), v.n_rows, v.n_columns});
  }
  return points;
}

}  // namespace numpygeons
