/// Writes a number the way a message shows it.
#pragma once

#include <array>
#include <charconv>
#include <string>

namespace numpygeons {

/// The shortest decimal text that reads back as `number`: 0.4, 1e-300, -inf, nan.
[[nodiscard]] inline std::string to_text(double number) {
  std::array<char, 32> text{};
  auto* const end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), end};
}

}  // namespace numpygeons
