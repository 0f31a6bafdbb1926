/// Evaluates the probabilities that a state of unknown origin comes from each chain.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace numpygeons {

/// p_k(V) = a_k exp(f_k + beta_k V) / sum_j a_j exp(f_j + beta_j V) for a block of log ratios at a
/// time, chain-major, so that every loop runs along the block and vectorises; the exponentials,
/// one per log ratio and chain, are all of the cost of MBAR but for its Hessian.
class Mixture {
 public:
  static constexpr std::size_t width = 64;

  /// `f`: minus log Z by chain, nats; `weights`: a > 0 by chain. All of length n_chains.
  Mixture(std::span<const double> betas, std::span<const double> f,
          std::span<const double> weights);

  /// Computes the block of `log_ratios` (at most `width`, read as `floored`); positions beyond them
  /// repeat a log ratio of 0 and must be given weight 0 by the caller.
  void evaluate(std::span<const double> log_ratios);

  [[nodiscard]] std::size_t n_chains() const noexcept { return betas_.size(); }
  /// p_k along the block.
  [[nodiscard]] const double* probabilities(std::size_t chain) const noexcept {
    return &probabilities_[chain * width];
  }
  /// The log ratios of the block, floored.
  [[nodiscard]] const std::array<double, width>& log_ratios() const noexcept { return v_; }
  /// log sum_j a_j exp(f_j + beta_j V) along the block.
  [[nodiscard]] std::array<double, width> log_denominator() const noexcept;

 private:
  std::vector<double> betas_;
  std::vector<double> offsets_;  // f_k + log a_k
  std::vector<double> probabilities_;
  std::array<double, width> v_{};
  std::array<double, width> largest_{};
  std::array<double, width> sum_{};
};

/// sum_b left[b] right[b] over one block, in a fixed order that vectorises.
[[nodiscard]] double block_dot(const double* left, const double* right) noexcept;

/// a_i for `count` elements of a scan-major matrix from flat index `start` on; 0 beyond them.
[[nodiscard]] std::array<double, Mixture::width> block_weights(std::span<const double> weights,
                                                               std::size_t start,
                                                               std::size_t count) noexcept;

}  // namespace numpygeons
