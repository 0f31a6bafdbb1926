/// Correlates V before and after an exploration, by chain.
#include "numpygeons/evidence/energy_autocorrelation.hpp"

#include <cmath>
#include <cstddef>
#include <limits>

#include "numpygeons/evidence/inputs.hpp"

namespace numpygeons {

namespace {

/// Sums of the pairs of one chain, each number relative to the first of its kind: what is left are
/// a few standard deviations, whatever the mean.
class PairSums {
 public:
  void add(double before, double after) noexcept {
    if (!std::isfinite(before) || !std::isfinite(after)) return;
    if (n_ == 0.0) {
      first_before_ = before;
      first_after_ = after;
    }
    const double x = before - first_before_, y = after - first_after_;
    n_ += 1.0;
    x_ += x;
    y_ += y;
    xx_ += x * x;
    yy_ += y * y;
    xy_ += x * y;
  }

  [[nodiscard]] double correlation() const noexcept {
    const double norms = std::sqrt(xx_ - x_ * x_ / n_) * std::sqrt(yy_ - y_ * y_ / n_);
    if (n_ < 3.0 || !(norms > 0.0)) return std::numeric_limits<double>::quiet_NaN();
    return (xy_ - x_ * y_ / n_) / norms;
  }

 private:
  double first_before_{}, first_after_{};
  double n_{}, x_{}, y_{}, xx_{}, yy_{}, xy_{};
};

}  // namespace

std::vector<double> energy_autocorrelation(MatrixView<const double> v,
                                           MatrixView<const std::uint32_t> replicas) {
  check_replicas(replicas, v.n_rows, v.n_columns);
  const std::size_t n_chains = v.n_columns;
  std::vector<PairSums> sums(n_chains);
  std::vector<double> before(n_chains);  // by replica
  for (std::size_t s = 0; s < v.n_rows; ++s) {
    for (std::size_t c = 0; c < n_chains; ++c) {
      double& last = before[replicas(s, c)];
      if (s > 0) sums[c].add(last, v(s, c));
      last = v(s, c);
    }
  }
  std::vector<double> result;
  result.reserve(sums.size());
  for (const PairSums& chain : sums) result.push_back(chain.correlation());
  return result;
}

}  // namespace numpygeons
