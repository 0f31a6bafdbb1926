/// Checks that the moments' bits do not depend on the order of the visits.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "numpygeons/math/exact_moments.hpp"
#include "numpygeons/random/streams.hpp"

using namespace numpygeons;

TEST_CASE("moments are the same bits in any order, and those of a direct sum") {
  std::vector<double> values(5000);
  Stream stream({.seed = 3});
  stream.fill_normals(values);
  for (double& value : values) value = 40 + 3 * value;
  const std::vector<double> centre{38.0}, scale{2.0};
  ExactMoments forwards(centre, scale), backwards(centre, scale);
  for (const double& value : values) forwards.add<double>(std::span(&value, 1));
  std::reverse(values.begin(), values.end());
  for (const double& value : values) backwards.add<double>(std::span(&value, 1));
  const Moments a = forwards.moments(), b = backwards.moments();
  CHECK(a.mean == b.mean);
  CHECK(a.squared_deviation == b.squared_deviation);

  double mean = 0, squares = 0;
  for (const double value : values) mean += value / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  CHECK(a.mean[0] == doctest::Approx(mean).epsilon(1e-9));
  CHECK(a.squared_deviation[0] == doctest::Approx(squares).epsilon(1e-8));
}

TEST_CASE("groups are pooled with the term between their means") {
  const Moments a{4, {0.0}, {4.0}}, b{4, {2.0}, {4.0}};
  const Moments both = pooled(a, b);
  CHECK(both.count == 8);
  CHECK(both.mean[0] == 1.0);
  CHECK(both.squared_deviation[0] == 16.0);  // 4 + 4 within, 8 between
}

TEST_CASE("a scale that is not positive is refused") {
  const std::vector<double> centre{0.0}, scale{0.0};
  CHECK_THROWS_AS(ExactMoments(centre, scale), std::invalid_argument);
}
