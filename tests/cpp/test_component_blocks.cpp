/// Tests that a block of components gives the bits of a loop over each component alone.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "numpygeons/base/indices.hpp"
#include "numpygeons/math/component_blocks.hpp"
#include "numpygeons/math/log_sum.hpp"
#include "numpygeons/random/streams.hpp"

using namespace numpygeons;

namespace {

constexpr std::size_t block = component_block;

std::vector<double> normals(std::size_t n, std::uint32_t number) {
  std::vector<double> z(n);
  Stream stream({3, Purpose::explore, Replica{number}, 1, 1});
  stream.fill_normals(z);
  return z;
}

}  // namespace

TEST_CASE("every component has a lane") {
  CHECK(n_component_blocks(1) == 1);
  CHECK(n_component_blocks(8) == 1);
  CHECK(n_component_blocks(9) == 2);
}

TEST_CASE("squared distances and exponentials of a block") {
  for (std::size_t d = 1; d <= 11; ++d) {
    CAPTURE(d);
    const std::vector<double> x = normals(d, 0), means = normals(d * block, 1);
    const std::vector<double> whiteners = normals(d * (d + 1) / 2 * block, 2);
    std::vector<double> gaps(d * block), squares(block), powers(block);
    block_squares(x.data(), means.data(), whiteners.data(), d, gaps.data(), squares.data());
    for (std::size_t k = 0; k < block; ++k) {
      double square = 0;
      for (std::size_t i = 0, place = 0; i < d; ++i) {
        double white = 0;
        for (std::size_t j = 0; j <= i; ++j, ++place)
          white += whiteners[place * block + k] * (x[j] - means[j * block + k]);
        square += white * white;
      }
      CHECK(squares[k] == square);
      squares[k] *= -0.5;
    }
    squares[3] = -std::numeric_limits<double>::infinity();
    block_exponentials(squares.data(), 0.0, 1, powers.data());
    for (std::size_t k = 0; k < block; ++k) CHECK(powers[k] == exp_nonpositive(squares[k]));
    CHECK(powers[3] == 0);
  }
}

TEST_CASE("sums of points and of their products over a block") {
  constexpr std::size_t n = 57, stride = 2 * block;
  for (std::size_t d = 1; d <= 11; ++d) {
    CAPTURE(d);
    const std::size_t triangle = d * (d + 1) / 2;
    const std::vector<double> points = normals(n * d, 4), means = normals(d * block, 5);
    std::vector<double> shares = normals(n * stride, 6);
    for (double& share : shares) share = share < 0 ? 0 : share;
    std::vector<double> counts(block), sums(d * block), products(triangle * block);
    const double* const second = shares.data() + block;  // of two blocks
    block_sums(points.data(), second, n, stride, d, counts.data(), sums.data());
    block_products(points.data(), second, n, stride, d, means.data(), products.data());
    for (std::size_t k = 0; k < block; ++k) {
      double count = 0;
      for (std::size_t i = 0; i < n; ++i) count += second[i * stride + k];
      CHECK(counts[k] == count);
      for (std::size_t j = 0, place = 0; j < d; ++j) {
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum += second[i * stride + k] * points[i * d + j];
        CHECK(sums[j * block + k] == sum);
        for (std::size_t l = 0; l <= j; ++l, ++place) {
          double product = 0;
          for (std::size_t i = 0; i < n; ++i)
            product += second[i * stride + k] * (points[i * d + j] - means[j * block + k]) *
                       (points[i * d + l] - means[l * block + k]);
          CHECK(products[place * block + k] == product);
        }
      }
    }
  }
}
