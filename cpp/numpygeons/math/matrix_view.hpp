/// Views a row-major block of memory as a matrix.
#pragma once

#include <cstddef>
#include <span>

namespace numpygeons {

/// `n_rows` x `n_columns` values that lie row after row without gaps; owns nothing.
template <class T>
struct MatrixView {
  T* data{};
  std::size_t n_rows{};
  std::size_t n_columns{};

  [[nodiscard]] constexpr T& operator()(std::size_t row, std::size_t column) const noexcept {
    return data[row * n_columns + column];
  }
  [[nodiscard]] constexpr std::span<T> row(std::size_t index) const noexcept {
    return {data + index * n_columns, n_columns};
  }
  [[nodiscard]] constexpr std::size_t size() const noexcept { return n_rows * n_columns; }
};

}  // namespace numpygeons
