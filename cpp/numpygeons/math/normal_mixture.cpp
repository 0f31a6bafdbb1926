/// Implements the fit of a mixture of normals.
#include "numpygeons/math/normal_mixture.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "numpygeons/math/component_blocks.hpp"

namespace numpygeons {

namespace {

constexpr double golden_ratio = 0.6180339887498949;  // the part after the point
constexpr double least_variance = 1e-10;             // in units of the variance of all points
constexpr double least_share = 1e-6;                 // smaller shares of a point are left out

/// Points in units of their mean and deviation per coordinate.
struct Standardized {
  std::size_t n{}, dimension{};
  std::vector<double> z, mean, deviation;
  [[nodiscard]] const double* row(std::size_t i) const { return z.data() + i * dimension; }
};

Standardized standardize(std::span<const double> points, std::size_t dimension) {
  Standardized s{points.size() / dimension, dimension, {}, {}, {}};
  s.z.assign(points.begin(), points.end());
  s.mean.assign(dimension, 0.0);
  s.deviation.assign(dimension, 0.0);
  const double share = 1 / static_cast<double>(s.n);
  for (std::size_t i = 0; i < points.size(); ++i) s.mean[i % dimension] += share * points[i];
  for (std::size_t i = 0; i < points.size(); ++i) {
    const double gap = points[i] - s.mean[i % dimension];
    s.deviation[i % dimension] += share * gap * gap;
  }
  for (double& deviation : s.deviation) deviation = deviation > 0 ? std::sqrt(deviation) : 1.0;
  for (std::size_t i = 0; i < points.size(); ++i)
    s.z[i] = (s.z[i] - s.mean[i % dimension]) / s.deviation[i % dimension];
  return s;
}

double squared_distance(const double* a, const double* b, std::size_t dimension) {
  double sum = 0;
  for (std::size_t j = 0; j < dimension; ++j) sum += (a[j] - b[j]) * (a[j] - b[j]);
  return sum;
}

/// The component of each point at the start.
std::vector<std::size_t> first_labels(const Standardized& s, std::size_t n_components) {
  std::vector<std::size_t> labels(s.n, 0);
  std::vector<double> nearest(s.n, std::numeric_limits<double>::infinity());
  std::size_t seed = 0;
  for (std::size_t k = 0; k < n_components; ++k) {
    double total = 0;
    for (std::size_t i = 0; i < s.n; ++i) {
      const double distance = squared_distance(s.row(i), s.row(seed), s.dimension);
      if (distance < nearest[i]) {
        nearest[i] = distance;
        labels[i] = k;
      }
      total += nearest[i];
    }
    const double uniform = std::fmod(static_cast<double>(k + 1) * golden_ratio, 1.0);
    double left = uniform * total;
    for (seed = 0; seed + 1 < s.n && left >= nearest[seed]; ++seed) left -= nearest[seed];
  }
  return labels;
}

/// Lower Cholesky factor of `a`, (d, d), in place; its strict upper triangle becomes 0. A pivot is
/// never smaller than `least_variance`.
void factorize(double* a, std::size_t d) {
  for (std::size_t j = 0; j < d; ++j) {
    double pivot = a[j * d + j];
    for (std::size_t k = 0; k < j; ++k) pivot -= a[j * d + k] * a[j * d + k];
    const double root = std::sqrt(std::max(pivot, least_variance));
    a[j * d + j] = root;
    for (std::size_t i = j + 1; i < d; ++i) {
      double sum = a[i * d + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * d + k] * a[j * d + k];
      a[i * d + j] = sum / root;
      a[j * d + i] = 0;
    }
  }
}

/// Inverse of a lower triangular matrix.
void invert(const double* lower, double* inverse, std::size_t d) {
  std::fill(inverse, inverse + d * d, 0.0);
  for (std::size_t j = 0; j < d; ++j) {
    inverse[j * d + j] = 1 / lower[j * d + j];
    for (std::size_t i = j + 1; i < d; ++i) {
      double sum = 0;
      for (std::size_t k = j; k < i; ++k) sum -= lower[i * d + k] * inverse[k * d + j];
      inverse[i * d + j] = sum / lower[i * d + i];
    }
  }
}

/// Shares of components in points, (n, blocks of components): those too small to count are 0.
struct Shares {
  std::size_t n_blocks{}, width{};
  std::vector<double> rows;

  Shares(std::size_t n, std::size_t n_components)
      : n_blocks(n_component_blocks(n_components)),
        width(n_blocks * component_block),
        rows(n * width, 0.0) {}
};

/// What vectorised loops read of a mixture, in blocks of components.
struct Blocks {
  std::vector<double> means, whiteners, heights;
};

/// Weights, means and covariances from the shares.
void maximize(const Standardized& s, const Shares& shares, NormalMixture& mixture) {
  const std::size_t d = s.dimension, n_components = mixture.n_components;
  const std::size_t triangle = d * (d + 1) / 2;
  std::vector<double> counts(shares.width, 0.0), means(shares.width * d, 0.0);
  std::vector<double> products(shares.width * triangle);
  for (std::size_t b = 0; b < shares.n_blocks; ++b) {
    const double* const rows = shares.rows.data() + b * component_block;
    double* const block_counts = counts.data() + b * component_block;
    double* const block_means = means.data() + b * component_block * d;
    block_sums(s.z.data(), rows, s.n, shares.width, d, block_counts, block_means);
    for (std::size_t j = 0; j < d; ++j)
      for (std::size_t k = 0; k < component_block; ++k)
        block_means[j * component_block + k] /= std::max(block_counts[k], least_share);
    block_products(s.z.data(), rows, s.n, shares.width, d, block_means,
                   products.data() + b * component_block * triangle);
  }
  const auto n = static_cast<double>(s.n);
  std::vector<double> within(triangle, 0.0);
  const auto product = [&](std::size_t k, std::size_t place) {
    const std::size_t b = k / component_block;
    return products[(b * triangle + place) * component_block + k % component_block];
  };
  for (std::size_t k = 0; k < n_components; ++k)
    for (std::size_t place = 0; place < triangle; ++place) within[place] += product(k, place) / n;
  for (std::size_t k = 0; k < n_components; ++k) {
    const std::size_t b = k / component_block, lane = k % component_block;
    double* const covariance = mixture.factors.data() + k * d * d;
    const bool has_few = counts[k] < 2 * static_cast<double>(d);
    for (std::size_t j = 0, place = 0; j < d; ++j) {
      mixture.means[k * d + j] = means[(b * d + j) * component_block + lane];
      for (std::size_t l = 0; l <= j; ++l, ++place)
        covariance[j * d + l] = has_few ? within[place] : product(k, place) / counts[k];
      if (!has_few) covariance[j * d + j] *= 1 + 1 / counts[k];
      covariance[j * d + j] += least_variance;
    }
    factorize(covariance, d);
    invert(covariance, mixture.whiteners.data() + k * d * d, d);
    mixture.log_weights[k] = std::log(std::max(counts[k], least_share) / n);
  }
}

Blocks in_blocks(const NormalMixture& mixture) {
  const std::size_t d = mixture.dimension, triangle = d * (d + 1) / 2;
  const std::size_t width = n_component_blocks(mixture.n_components) * component_block;
  Blocks blocks;
  blocks.means.assign(width * d, 0.0);
  blocks.whiteners.assign(width * triangle, 0.0);
  blocks.heights.assign(width, -std::numeric_limits<double>::infinity());
  for (std::size_t k = 0; k < mixture.n_components; ++k) {
    const std::size_t b = k / component_block, lane = k % component_block;
    const double* const whitener = mixture.whiteners.data() + k * d * d;
    double height = mixture.log_weights[k];
    for (std::size_t i = 0, place = b * triangle; i < d; ++i) {
      blocks.means[(b * d + i) * component_block + lane] = mixture.means[k * d + i];
      for (std::size_t j = 0; j <= i; ++j, ++place)
        blocks.whiteners[place * component_block + lane] = whitener[i * d + j];
      height += std::log(whitener[i * d + i]);
    }
    blocks.heights[k] = height;
  }
  return blocks;
}

/// Share of each component in each point.
void expect(const Standardized& s, const NormalMixture& mixture, Shares& shares) {
  const std::size_t d = s.dimension, n_components = mixture.n_components;
  const std::size_t triangle = d * (d + 1) / 2;
  const Blocks blocks = in_blocks(mixture);
  std::vector<double> gaps(component_block * d), parts(shares.width);
  for (std::size_t i = 0; i < s.n; ++i) {
    for (std::size_t b = 0; b < shares.n_blocks; ++b) {
      const std::size_t first = b * component_block;
      double squares[component_block];
      block_squares(s.row(i), blocks.means.data() + first * d,
                    blocks.whiteners.data() + first * triangle, d, gaps.data(), squares);
      for (std::size_t k = 0; k < component_block; ++k)
        parts[first + k] = blocks.heights[first + k] - 0.5 * squares[k];
    }
    const double highest = std::ranges::max(parts);
    double* const row = shares.rows.data() + i * shares.width;
    block_exponentials(parts.data(), highest, shares.n_blocks, row);
    double sum = 0;
    for (std::size_t k = 0; k < n_components; ++k) sum += row[k];
    for (std::size_t k = 0; k < shares.width; ++k) {
      const double share = row[k] / sum;
      row[k] = share < least_share ? 0 : share;
    }
  }
}

}  // namespace

NormalMixture fit_normal_mixture(std::span<const double> points, std::size_t dimension,
                                 std::size_t n_components, std::size_t n_steps) {
  if (dimension == 0 || n_components == 0 ||
      points.size() % std::max<std::size_t>(dimension, 1) != 0 ||
      points.size() / dimension < n_components)
    throw std::invalid_argument(
        "a mixture of " + std::to_string(n_components) + " normals needs as many points: got " +
        std::to_string(points.size()) + " numbers in dimension " + std::to_string(dimension));
  const Standardized s = standardize(points, dimension);
  NormalMixture mixture{n_components, dimension, {}, {}, {}, {}};
  mixture.log_weights.resize(n_components);
  mixture.means.resize(n_components * dimension);
  mixture.factors.resize(n_components * dimension * dimension);
  mixture.whiteners.resize(n_components * dimension * dimension);
  Shares shares(s.n, n_components);
  const std::vector<std::size_t> labels = first_labels(s, n_components);
  for (std::size_t i = 0; i < s.n; ++i) shares.rows[i * shares.width + labels[i]] = 1;
  maximize(s, shares, mixture);
  for (std::size_t step = 1; step < n_steps; ++step) {
    expect(s, mixture, shares);
    maximize(s, shares, mixture);
  }
  const std::size_t d = dimension;
  for (std::size_t k = 0; k < n_components; ++k)
    for (std::size_t j = 0; j < d; ++j) {
      mixture.means[k * d + j] = s.mean[j] + s.deviation[j] * mixture.means[k * d + j];
      for (std::size_t l = 0; l < d; ++l) {
        mixture.factors[(k * d + j) * d + l] *= s.deviation[j];
        mixture.whiteners[(k * d + j) * d + l] /= s.deviation[l];
      }
    }
  return mixture;
}

}  // namespace numpygeons
