// Blocks of a row, small enough for the first-level cache: how they come from memory as the rule
// sees them, and how they go back.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "blocks.h"

namespace {

constexpr int64_t kBlock = 2048;

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// Asks for the memory that comes after a block, a line at a time.
template <typename S>
struct Ahead {
  const S* next;
  void operator()(int64_t j) const { __builtin_prefetch(next + j); }
};

// As `seen` has it of each vector, its place and the elements left; lanes past the end are -inf.
// Returns the greatest number but for those of the vector at `skipped`. NaN never wins a
// comparison, so it is left to sum_exp to carry it.
template <typename S, typename Seen>
inline Compute<S> fill_by(const S* from, int64_t size, int64_t skipped, Compute<S>* buffer,
                          Seen seen) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  constexpr T lowest = static_cast<T>(-kInfinity);
  Vector<T> max[4] = {broadcast(lowest), broadcast(lowest), broadcast(lowest), broadcast(lowest)};
  const auto fill = [&](int64_t j) {
    const Vector<T> v = seen(Element<S>::read(from + j), j, lanes);
    store(buffer + j, v);
    return v;
  };
  int64_t j = 0;
  const auto fill_until = [&](int64_t end) {
    for (; j + 4 * lanes <= end; j += 4 * lanes)
      for (int64_t k = 0; k < 4; ++k) max[k] = larger<T>(max[k], fill(j + k * lanes));
    for (; j + lanes <= end; j += lanes) max[0] = larger<T>(max[0], fill(j));
  };
  if (skipped >= 0 && skipped + lanes <= size) {
    fill_until(skipped);
    fill(j);
    j += lanes;
  }
  fill_until(size);
  if (j < size) {
    const Vector<T> v = seen(Element<S>::read_part(from + j, size - j, lowest), j, size - j);
    store(buffer + j, v);
    if (j != skipped) max[0] = larger<T>(max[0], v);
  }
  return reduce_max<T>(larger<T>(larger<T>(max[0], max[1]), larger<T>(max[2], max[3])));
}

// Classes [begin, begin + size) of a row as the rule sees them; the cap's slopes go to `slopes`,
// unless that is null.
template <typename S>
inline Compute<S> fill_block(const Rows& rows, const S* row, int64_t begin, int64_t size,
                             int64_t skipped, Compute<S>* buffer, Compute<S>* slopes = nullptr) {
  using T = Compute<S>;
  const S* from = row + begin;
  if (!is_adjusted(rows))
    return fill_by(from, size, skipped, buffer, [](Vector<T> z, int64_t, int64_t) { return z; });
  const Adjustment<T> adjust(rows);
  const T* bias = rows.bias == nullptr ? nullptr : static_cast<const T*>(rows.bias) + begin;
  if (rows.cap == 0.0 && bias == nullptr)
    return fill_by(from, size, skipped, buffer,
                   [=](Vector<T> z, int64_t, int64_t) { return z * adjust.scale; });
  if (rows.cap == 0.0)
    return fill_by(from, size, skipped, buffer, [=](Vector<T> z, int64_t j, int64_t part) {
      return adjust(z, read_lanes(bias + j, part));
    });
  const auto bias_at = [bias](int64_t j, int64_t part) {
    return bias ? read_lanes(bias + j, part) : Vector<T>{};
  };
  return fill_by(from, size, skipped, buffer, [&](Vector<T> z, int64_t j, int64_t part) {
    return adjust.capped(z, bias_at(j, part), slopes ? slopes + j : nullptr);
  });
}

// ---- writing ------------------------------------------------------------------------------------

// How many elements lie before the first address that whole vectors may be streamed to; `size`
// where there is none: a caller's memory need not be aligned even to its elements.
template <typename S>
inline int64_t before_aligned(const S* to, int64_t size) {
  constexpr auto bytes = static_cast<uintptr_t>(Lanes<Compute<S>>::count) * sizeof(S);
  const uintptr_t beyond = reinterpret_cast<uintptr_t>(to) % bytes;
  if (beyond % sizeof(S) != 0) return size;
  const auto head = static_cast<int64_t>((bytes - beyond) % bytes / sizeof(S));
  return head < size ? head : size;
}

// value(j, count) of classes j and on, with `entry` at `place`, if that is one of them.
template <bool past_caches, typename S, typename Value>
inline void write_block(S* to, int64_t size, int64_t place, Compute<S> entry, Value value) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  int64_t j = 0;
  const auto write = [](S* at, Vector<T> v) {
    if constexpr (past_caches)
      Element<S>::stream(at, v);
    else
      Element<S>::write(at, v);
  };
  const auto with_entry = [&](Vector<T> v) {
    const int64_t lane = place - j;
    if (lane >= 0 && lane < lanes) v[lane] = entry;
    return v;
  };
  const auto write_part = [&](int64_t count) {
    Element<S>::write_part(to + j, with_entry(value(j, count)), count);
    j += count;
  };
  const auto write_until = [&](int64_t end) {
    // copies, which no write can change, as far as a compiler knows: they stay in registers
    const Value own = value;
    S* const out = to;
    int64_t at = j;
    for (; at + lanes <= end; at += lanes) write(out + at, own(at, lanes));
    j = at;
  };
  if constexpr (past_caches) {
    const int64_t head = before_aligned(to, size);
    if (head >= lanes) return write_block<false>(to, size, place, entry, value);
    if (head > 0) write_part(head);
  }
  if (place >= j && place < size) {
    write_until(place);
    if (j + lanes <= size) {
      write(to + j, with_entry(value(j, lanes)));
      j += lanes;
    }
  }
  write_until(size);
  if (j < size) write_part(size - j);
}

template <typename S, typename Value>
inline void write_block(S* to, int64_t size, bool past_caches, int64_t place, Compute<S> entry,
                        Value value) {
  if (past_caches)
    write_block<true>(to, size, place, entry, value);
  else
    write_block<false>(to, size, place, entry, value);
}

// A whole block, and nothing else.
template <typename S>
inline void emit(const Compute<S>* buffer, S* to, int64_t size, bool past_caches) {
  using T = Compute<S>;
  write_block(to, size, past_caches, -1, static_cast<T>(0),
              [buffer](int64_t j, int64_t count) { return read_lanes(buffer + j, count); });
}

}  // namespace
