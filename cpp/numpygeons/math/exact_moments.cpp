/// Turns the integer sums of ExactMoments into means and variances.
#include "numpygeons/math/exact_moments.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

namespace numpygeons {

Moments pooled(const Moments& a, const Moments& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  Moments result = a;
  result.count = a.count + b.count;
  const auto n = static_cast<double>(result.count);
  const double share = static_cast<double>(b.count) / n;
  for (std::size_t k = 0; k < result.mean.size(); ++k) {
    const double gap = b.mean[k] - a.mean[k];
    result.mean[k] += gap * share;
    result.squared_deviation[k] +=
        b.squared_deviation[k] + gap * gap * static_cast<double>(a.count) * share;
  }
  return result;
}

ExactMoments::ExactMoments(std::span<const double> centre, std::span<const double> scale)
    : centre_(centre.begin(), centre.end()),
      steps_per_unit_(scale.size()),
      sum_(scale.size()),
      squares_(scale.size()) {
  if (centre.size() != scale.size())
    throw std::invalid_argument("centre and scale must have one length: got " +
                                std::to_string(centre.size()) + " and " +
                                std::to_string(scale.size()));
  for (std::size_t k = 0; k < scale.size(); ++k) {
    if (!(scale[k] > 0) || !std::isfinite(scale[k]) || !std::isfinite(centre[k]))
      throw std::invalid_argument("scale must be positive and finite, centre finite: coordinate " +
                                  std::to_string(k) + " has scale " + std::to_string(scale[k]) +
                                  " and centre " + std::to_string(centre[k]));
    steps_per_unit_[k] = resolution / scale[k];
  }
}

std::vector<std::uint64_t> ExactMoments::words() const {
  std::vector<std::uint64_t> result{count_};
  result.reserve(1 + 4 * sum_.size());
  for (std::size_t k = 0; k < sum_.size(); ++k) {
    for (const Wide number : {sum_[k], squares_[k]}) {
      const auto bits = static_cast<UnsignedWide>(number);
      result.push_back(static_cast<std::uint64_t>(bits));
      result.push_back(static_cast<std::uint64_t>(bits >> 64));
    }
  }
  return result;
}

void ExactMoments::add_words(std::span<const std::uint64_t> words) {
  if (words.size() != 1 + 4 * sum_.size())
    throw std::invalid_argument("moments in dimension " + std::to_string(sum_.size()) + " are " +
                                std::to_string(1 + 4 * sum_.size()) + " words: got " +
                                std::to_string(words.size()));
  const auto number = [&](std::size_t at) {
    return static_cast<Wide>(static_cast<UnsignedWide>(words[at + 1]) << 64 | words[at]);
  };
  count_ += words[0];
  for (std::size_t k = 0; k < sum_.size(); ++k) {
    sum_[k] += number(1 + 4 * k);
    squares_[k] += number(3 + 4 * k);
  }
}

Moments ExactMoments::moments() const {
  Moments result{count_, std::vector<double>(sum_.size()), std::vector<double>(sum_.size())};
  if (count_ == 0) return result;
  const auto n = static_cast<long double>(count_);
  for (std::size_t k = 0; k < sum_.size(); ++k) {
    const auto step = 1.0L / static_cast<long double>(steps_per_unit_[k]);
    // |sum| < 2^52 n and squares < 2^104 n: the difference below is taken in integers first
    // where that is exact, n * squares would overflow, so the mean is split off as an integer.
    const Wide mean = sum_[k] / static_cast<Wide>(count_);
    const auto rest = static_cast<long double>(sum_[k] - mean * static_cast<Wide>(count_));
    const Wide about_mean =
        squares_[k] - 2 * mean * sum_[k] + mean * mean * static_cast<Wide>(count_);
    const auto squared = static_cast<long double>(about_mean) - rest * rest / n;
    result.mean[k] = static_cast<double>(static_cast<long double>(centre_[k]) +
                                         step * (static_cast<long double>(mean) + rest / n));
    result.squared_deviation[k] = static_cast<double>(squared > 0 ? squared * step * step : 0);
  }
  return result;
}

}  // namespace numpygeons
