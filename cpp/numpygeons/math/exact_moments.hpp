/// Accumulates means and variances whose bits do not depend on the order of the visits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace numpygeons {

/// Mean and sum of squared deviations of `count` points, per coordinate.
struct Moments {
  std::uint64_t count{};
  std::vector<double> mean;               ///< shape (dimension,)
  std::vector<double> squared_deviation;  ///< shape (dimension,); divide by count for a variance
};

/// Combines two groups, with the term between their means (Chan, Golub & LeVeque 1983).
[[nodiscard]] Moments pooled(const Moments& a, const Moments& b);

/// First and second moments of points in R^d, accumulated as integers.
///
/// A coordinate is measured as y = (x - centre) / scale and rounded to a multiple of 2^-32. Sums
/// of integers commute, so the result has the same bits however the visits are split over
/// processes and threads. |y| beyond 2^20 is clamped: centre and scale need the right order of
/// magnitude, no more. Every other sum of a run goes over chains in scan order, where exactly one
/// replica sits.
class ExactMoments {
 public:
  ExactMoments() = default;
  /// Throws std::invalid_argument when the lengths differ or a scale is not positive and finite.
  ExactMoments(std::span<const double> centre, std::span<const double> scale);

  /// Adds one point; shape (dimension,); finite values only.
  template <class Real>
  void add(std::span<const Real> x) noexcept {
    ++count_;
    for (std::size_t k = 0; k < sum_.size(); ++k) {
      const double y = (static_cast<double>(x[k]) - centre_[k]) * steps_per_unit_[k];
      const double clamped = std::clamp(y, -largest, largest);
      const auto q = static_cast<std::int64_t>(clamped);
      sum_[k] += q;
      squares_[k] += static_cast<Wide>(q) * q;
    }
  }
  [[nodiscard]] Moments moments() const;

  /// The sums as words, to send or store: count, then per coordinate sum and sum of squares, each
  /// in two halves, lower first; 1 + 4 dimension of them.
  [[nodiscard]] std::vector<std::uint64_t> words() const;
  /// Adds the visits of another accumulator with the same centre and scale, from its words.
  /// Throws std::invalid_argument for another length.
  void add_words(std::span<const std::uint64_t> words);

 private:
  __extension__ using Wide = __int128;
  __extension__ using UnsignedWide = unsigned __int128;
  static constexpr double resolution = 4294967296.0;         // 2^32 steps in one unit of scale
  static constexpr double largest = 1048576.0 * resolution;  // 2^20 units

  std::uint64_t count_{};
  std::vector<double> centre_, steps_per_unit_;
  std::vector<Wide> sum_, squares_;
};

}  // namespace numpygeons
