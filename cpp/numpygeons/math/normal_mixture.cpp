/// Implements the fit of a mixture of normals.
#include "numpygeons/math/normal_mixture.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "numpygeons/math/log_sum.hpp"

namespace numpygeons {

namespace {

constexpr double golden_ratio = 0.6180339887498949;  // the part after the point
constexpr double least_variance = 1e-10;             // in units of the variance of all points
constexpr double least_responsibility = 1e-6;        // smaller shares of a point are left out

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

/// Weights, means and covariances from the responsibilities, (n, n_components).
void maximize(const Standardized& s, std::span<const double> shares, NormalMixture& mixture) {
  const std::size_t d = s.dimension, n_components = mixture.n_components;
  std::vector<double> counts(n_components, 0.0), within(d * d, 0.0), gap(d);
  std::fill(mixture.means.begin(), mixture.means.end(), 0.0);
  std::fill(mixture.factors.begin(), mixture.factors.end(), 0.0);
  for (std::size_t i = 0; i < s.n; ++i)
    for (std::size_t k = 0; k < n_components; ++k) {
      const double share = shares[i * n_components + k];
      if (share < least_responsibility) continue;
      counts[k] += share;
      for (std::size_t j = 0; j < d; ++j) mixture.means[k * d + j] += share * s.row(i)[j];
    }
  for (std::size_t k = 0; k < n_components; ++k)
    for (std::size_t j = 0; j < d; ++j)
      mixture.means[k * d + j] /= std::max(counts[k], least_responsibility);
  for (std::size_t i = 0; i < s.n; ++i)
    for (std::size_t k = 0; k < n_components; ++k) {
      const double share = shares[i * n_components + k];
      if (share < least_responsibility) continue;
      double* const sum = mixture.factors.data() + k * d * d;
      for (std::size_t j = 0; j < d; ++j) gap[j] = s.row(i)[j] - mixture.means[k * d + j];
      for (std::size_t j = 0; j < d; ++j)
        for (std::size_t l = 0; l <= j; ++l) sum[j * d + l] += share * gap[j] * gap[l];
    }
  const double n = static_cast<double>(s.n);
  for (std::size_t k = 0; k < n_components; ++k)
    for (std::size_t j = 0; j < d * d; ++j) within[j] += mixture.factors[k * d * d + j] / n;
  for (std::size_t k = 0; k < n_components; ++k) {
    double* const covariance = mixture.factors.data() + k * d * d;
    if (counts[k] < 2 * static_cast<double>(d)) {
      std::copy(within.begin(), within.end(), covariance);
    } else {
      for (std::size_t j = 0; j < d * d; ++j) covariance[j] /= counts[k];
      for (std::size_t j = 0; j < d; ++j) covariance[j * d + j] *= 1 + 1 / counts[k];
    }
    for (std::size_t j = 0; j < d; ++j) covariance[j * d + j] += least_variance;
    factorize(covariance, d);
    invert(covariance, mixture.whiteners.data() + k * d * d, d);
    mixture.log_weights[k] = std::log(std::max(counts[k], least_responsibility) / n);
  }
}

/// Share of each component in each point, (n, n_components).
void expect(const Standardized& s, const NormalMixture& mixture, std::vector<double>& shares) {
  const std::size_t d = s.dimension, n_components = mixture.n_components;
  std::vector<double> height(n_components), gap(d);
  for (std::size_t k = 0; k < n_components; ++k) {
    height[k] = mixture.log_weights[k];
    for (std::size_t j = 0; j < d; ++j)
      height[k] += std::log(mixture.whiteners[(k * d + j) * d + j]);
  }
  for (std::size_t i = 0; i < s.n; ++i) {
    double* const row = shares.data() + i * n_components;
    for (std::size_t k = 0; k < n_components; ++k) {
      const double* const whitener = mixture.whiteners.data() + k * d * d;
      for (std::size_t j = 0; j < d; ++j) gap[j] = s.row(i)[j] - mixture.means[k * d + j];
      double square = 0;
      for (std::size_t j = 0; j < d; ++j) {
        double y = 0;
        for (std::size_t l = 0; l <= j; ++l) y += whitener[j * d + l] * gap[l];
        square += y * y;
      }
      row[k] = height[k] - 0.5 * square;
    }
    const double highest = *std::max_element(row, row + n_components);
    double sum = 0;
    for (std::size_t k = 0; k < n_components; ++k)
      sum += row[k] = exp_nonpositive(row[k] - highest);
    for (std::size_t k = 0; k < n_components; ++k) row[k] /= sum;
  }
}

}  // namespace

NormalMixture fit_normal_mixture(std::span<const double> points, std::size_t dimension,
                                 std::size_t n_components, std::size_t n_steps) {
  if (dimension == 0 || n_components == 0 || points.size() % std::max<std::size_t>(dimension, 1) ||
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
  std::vector<double> shares(s.n * n_components, 0.0);
  const std::vector<std::size_t> labels = first_labels(s, n_components);
  for (std::size_t i = 0; i < s.n; ++i) shares[i * n_components + labels[i]] = 1;
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
