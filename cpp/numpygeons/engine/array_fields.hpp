/// Describes arrays once: from the list of a struct's spans follows what is done to all of them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "numpygeons/engine/coordinator_settings.hpp"

namespace numpygeons {

/// The extents of one row of an array, at most two; none where a row is one number.
class RowShape {
 public:
  constexpr RowShape(std::initializer_list<std::size_t> extents) : n_(extents.size()) {
    std::ranges::copy(extents, extents_.begin());
  }
  [[nodiscard]] constexpr std::span<const std::size_t> extents() const noexcept {
    return std::span(extents_).first(n_);
  }
  /// How many numbers a row holds.
  [[nodiscard]] constexpr std::size_t width() const noexcept { return extents_[0] * extents_[1]; }

 private:
  std::array<std::size_t, 2> extents_{1, 1};
  std::size_t n_;
};

/// One span of the struct `Owner`. An `Owner` lists its fields, in the order in which they are
/// handed to Python and to compiled programs, by a function `fields()`.
template <class Owner, class T>
struct Field {
  using Element = std::remove_const_t<T>;

  const char* name;
  std::span<T> Owner::* array;
  RowShape (*row)(const CoordinatorSettings&);
  bool by_row{true};  ///< else the array is a single row, whatever the number of replicas

  /// How many numbers `n_rows` rows hold.
  [[nodiscard]] constexpr std::size_t size(const CoordinatorSettings& settings,
                                           std::size_t n_rows) const {
    return (by_row ? n_rows : 1) * row(settings).width();
  }
};

template <class Owner, class T>
Field(const char*, std::span<T> Owner::*, RowShape (*)(const CoordinatorSettings&), bool = true)
    -> Field<Owner, T>;

/// Calls `function` with each field of `Arrays`, and with what stands at its place in each of the
/// tuples `beside`.
template <class Arrays, class Function, class... Tuples>
constexpr void for_each_field(const Function& function, Tuples&&... beside) {
  constexpr auto fields = Arrays::fields();
  const auto call = [&]<std::size_t k>(std::integral_constant<std::size_t, k>) {
    function(std::get<k>(fields), std::get<k>(beside)...);
  };
  [&]<std::size_t... k>(std::index_sequence<k...>) {
    (call(std::integral_constant<std::size_t, k>{}), ...);
  }(std::make_index_sequence<std::tuple_size_v<decltype(fields)>>{});
}

template <template <class> class Of, class... Owner, class... T>
auto tuple_of(std::tuple<Field<Owner, T>...>) -> std::tuple<Of<std::remove_const_t<T>>...>;

/// A tuple with one `Of<T>` for each field of `Arrays`, T being the type of its numbers.
template <class Arrays, template <class> class Of>
using TupleOf = decltype(tuple_of<Of>(Arrays::fields()));

/// Sets all numbers to `number`.
template <class Arrays>
void fill(const Arrays& arrays, int number) {
  for_each_field<Arrays>([&](const auto& field) {
    using T = typename std::remove_cvref_t<decltype(field)>::Element;
    std::ranges::fill(arrays.*field.array, static_cast<T>(number));
  });
}

/// Copies all numbers to arrays of the same sizes.
template <class Arrays>
void copy(const Arrays& from, const Arrays& to) {
  for_each_field<Arrays>(
      [&](const auto& field) { std::ranges::copy(from.*field.array, (to.*field.array).begin()); });
}

/// Those of `Part`'s arrays in `whole`, from row `first` on.
template <class Part, class Arrays>
[[nodiscard]] Part rows_of(const Arrays& whole, const CoordinatorSettings& settings,
                           std::size_t first, std::size_t n_rows) {
  Part part;
  for_each_field<Part>([&](const auto& field) {
    part.*field.array =
        (whole.*field.array).subspan(field.size(settings, first), field.size(settings, n_rows));
  });
  return part;
}

/// Throws std::invalid_argument where an array does not hold `n_rows` rows; `whose` it is, "the
/// block's".
template <class Arrays>
void require_sizes(const char* whose, const Arrays& arrays, const CoordinatorSettings& settings,
                   std::size_t n_rows) {
  for_each_field<Arrays>([&](const auto& field) {
    const std::size_t got = (arrays.*field.array).size(), wanted = field.size(settings, n_rows);
    if (got != wanted)
      throw std::invalid_argument(std::string(whose) + " " + field.name + " must hold " +
                                  std::to_string(n_rows) + " rows of " +
                                  std::to_string(field.row(settings).width()) + ": got " +
                                  std::to_string(got) + " numbers");
  });
}

/// `Arrays` with the memory that its spans lie in.
template <class Arrays>
class Owned {
 public:
  /// All numbers are 0.
  Owned(const CoordinatorSettings& settings, std::size_t n_rows) {
    for_each_field<Arrays>(
        [&](const auto& field, auto& memory) {
          memory.resize(field.size(settings, n_rows));
          arrays_.*field.array = memory;
        },
        memory_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Owned(Owned&&) = delete;
  Owned& operator=(Owned&&) = delete;
  ~Owned() = default;

  [[nodiscard]] const Arrays& arrays() const noexcept { return arrays_; }

 private:
  template <class T>
  using Memory = std::vector<T>;
  TupleOf<Arrays, Memory> memory_;
  Arrays arrays_;
};

}  // namespace numpygeons
