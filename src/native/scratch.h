// Memory of a kernel's own, for what it needs between two loops over a row.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include <stdlib.h>

#include <cstdint>

namespace {

// At least so many bytes, aligned to vectors; as many more as a second-level cache has room for.
// Without data where none are wanted, or there is no memory.
struct Scratch {
  static constexpr int64_t kUsual = int64_t{1} << 18;

  void *whole = nullptr, *data = nullptr;
  int64_t bytes = 0;

  explicit Scratch(int64_t least) {
    if (least == 0) return;
    bytes = least < kUsual ? kUsual : least;
    whole = ::malloc(static_cast<size_t>(bytes) + 64);
    const auto address = reinterpret_cast<uintptr_t>(whole);
    data = whole == nullptr ? nullptr : reinterpret_cast<void*>((address + 63) & ~uintptr_t{63});
  }
  ~Scratch() { ::free(whole); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

}  // namespace
