// Tiles of logits with the classes apart and the lanes across rows: how they come from memory,
// transposed in registers where classes were adjacent, and go back to it.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "blocks.h"

namespace {

// Up to kBatch rows and so many classes.
constexpr int64_t kTileClasses = 64;

template <typename T>
using Tile = T[kTileClasses][kBatch];

// ---- transposition ------------------------------------------------------------------------------

template <int... I>
struct Indices {};
template <int N, int... I>
struct IndicesTo : IndicesTo<N - 1, N - 1, I...> {};
template <int... I>
struct IndicesTo<0, I...> {
  using type = Indices<I...>;
};

// a0 b0 a1 b1 ..., of the lower or the upper halves.
template <typename T, int... I>
inline Vector<T> interleave(Vector<T> a, Vector<T> b, int from, Indices<I...>) {
  constexpr int lanes = Lanes<T>::count;
  return from == 0 ? __builtin_shufflevector(a, b, ((I % 2) * lanes + I / 2)...)
                   : __builtin_shufflevector(a, b, ((I % 2) * lanes + I / 2 + lanes / 2)...);
}

// a0 a2 ... b0 b2 ..., or what lies between.
template <typename T, int... I>
inline Vector<T> every_other(Vector<T> a, Vector<T> b, int from, Indices<I...>) {
  return from == 0 ? __builtin_shufflevector(a, b, (2 * I)...)
                   : __builtin_shufflevector(a, b, (2 * I + 1)...);
}

// Lane by lane of C vectors into the order of memory, by log2(C) perfect shuffles: a transposed
// square where C is the number of lanes, and adjacent rows of C classes where it is less.
template <typename T, int C>
inline void zip(Vector<T>* vectors) {
  using All = typename IndicesTo<Lanes<T>::count>::type;
  for (int stage = 1; stage < C; stage *= 2) {
    Vector<T> next[C];
    for (int k = 0; k < C / 2; ++k) {
      next[2 * k] = interleave<T>(vectors[k], vectors[k + C / 2], 0, All{});
      next[2 * k + 1] = interleave<T>(vectors[k], vectors[k + C / 2], 1, All{});
    }
    for (int k = 0; k < C; ++k) vectors[k] = next[k];
  }
}

// What zip undoes.
template <typename T, int C>
inline void unzip(Vector<T>* vectors) {
  using All = typename IndicesTo<Lanes<T>::count>::type;
  for (int stage = 1; stage < C; stage *= 2) {
    Vector<T> next[C];
    for (int k = 0; k < C / 2; ++k) {
      next[k] = every_other<T>(vectors[2 * k], vectors[2 * k + 1], 0, All{});
      next[k + C / 2] = every_other<T>(vectors[2 * k], vectors[2 * k + 1], 1, All{});
    }
    for (int k = 0; k < C; ++k) vectors[k] = next[k];
  }
}

template <typename T>
inline void transpose(Vector<T>* square) {
  zip<T, Lanes<T>::count>(square);
}

// ---- tiles --------------------------------------------------------------------------------------

// Rows [begin, begin + size) of one block of the input.
struct TileRows {
  int64_t begin, size;
  int64_t first;   // offset of the first row's class 0
  int64_t stride;  // between classes; 1 where rows are adjacent

  TileRows(const Rows& rows, int64_t from, int64_t end) : begin(from) {
    const int64_t block = from / rows.inner, position = from % rows.inner;
    const int64_t left =
        rows.inner == 1 ? end - from
                        : (end - from < rows.inner - position ? end - from : rows.inner - position);
    size = left < kBatch ? left : kBatch;
    first = block * rows.classes * rows.inner + position;
    stride = rows.inner;
  }
};

template <typename S>
inline void load_transposed(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                            Tile<Compute<S>>& buffer) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  const S* logits = static_cast<const S*>(rows.logits);
  const S* end = logits + rows.outer * rows.classes;
  for (int64_t i = 0; i < tile.size; i += lanes) {
    for (int64_t c = 0; c < classes; c += lanes) {
      Vector<T> square[lanes];
      for (int64_t k = 0; k < lanes; ++k) {
        // what a load takes beside its row is other rows', or past the end
        const S* from = logits + tile.first + (i + k) * rows.classes + begin + c;
        if (from + lanes <= end)
          square[k] = Element<S>::read(from);
        else
          square[k] =
              from < end ? Element<S>::read_part(from, end - from, static_cast<T>(0)) : Vector<T>{};
      }
      transpose<T>(square);
      for (int64_t k = 0; k < lanes && c + k < classes; ++k) store(&buffer[c + k][i], square[k]);
    }
  }
}

// Rows that fill whole vectors: C of them hold as many rows as there are lanes.
template <typename S, int C>
inline void load_dense(const S* from, int64_t size, Tile<Compute<S>>& buffer) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  for (int64_t i = 0; i < size; i += lanes) {
    Vector<T> some[C];
    for (int k = 0; k < C; ++k) {
      const int64_t at = i * C + k * lanes, part = size * C - at;
      some[k] = part >= lanes ? Element<S>::read(from + at)
                : part > 0    ? Element<S>::read_part(from + at, part, static_cast<T>(0))
                              : Vector<T>{};
    }
    unzip<T, C>(some);
    for (int k = 0; k < C; ++k) store(&buffer[k][i], some[k]);
  }
}

template <typename S, int C>
inline void store_dense(const Tile<Compute<S>>& buffer, int64_t size, S* to) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  for (int64_t i = 0; i < size; i += lanes) {
    Vector<T> some[C];
    for (int k = 0; k < C; ++k) some[k] = load(&buffer[k][i]);
    zip<T, C>(some);
    for (int k = 0; k < C; ++k) {
      const int64_t at = i * C + k * lanes, part = size * C - at;
      if (part >= lanes)
        Element<S>::write(to + at, some[k]);
      else if (part > 0)
        Element<S>::write_part(to + at, some[k], part);
    }
  }
}

template <typename S>
inline void load_planes(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                        Tile<Compute<S>>& buffer) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  const S* from = static_cast<const S*>(rows.logits) + tile.first + begin * tile.stride;
  // what is read next: more classes of this tile, or the next tile's
  const int64_t ahead = rows.classes > kTileClasses ? kTileClasses * tile.stride : kBatch;
  for (int64_t c = 0; c < classes; ++c, from += tile.stride) {
    for (int64_t i = 0; i < tile.size; i += lanes) {
      const int64_t part = tile.size - i;
      __builtin_prefetch(from + i + ahead);
      store(&buffer[c][i], part >= lanes
                               ? Element<S>::read(from + i)
                               : Element<S>::read_part(from + i, part, static_cast<T>(0)));
    }
  }
}

template <typename S>
inline void load_tile(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                      Tile<Compute<S>>& buffer) {
  const S* from = static_cast<const S*>(rows.logits) + tile.first;
  if (rows.inner > 1) return load_planes<S>(rows, tile, begin, classes, buffer);
  if (rows.classes == 2) return load_dense<S, 2>(from, tile.size, buffer);
  if (rows.classes == 4) return load_dense<S, 4>(from, tile.size, buffer);
  if (rows.classes == 8) return load_dense<S, 8>(from, tile.size, buffer);
  load_transposed<S>(rows, tile, begin, classes, buffer);
}

template <typename T>
inline void adjust_tile(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                        Tile<T>& buffer) {
  if (!is_adjusted(rows)) return;
  const Adjustment<T> adjust(rows);
  const T* bias = static_cast<const T*>(rows.bias);
  for (int64_t c = 0; c < classes; ++c) {
    const Vector<T> b = broadcast<T>(bias ? bias[begin + c] : 0);
    for (int64_t i = 0; i < tile.size; i += Lanes<T>::count)
      store(&buffer[c][i], adjust(load(&buffer[c][i]), b));
  }
}

template <typename S>
inline void store_transposed(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                             const Tile<Compute<S>>& buffer, S* gradient) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  // Nothing is written past the tile, nor past a part of the classes.
  const bool whole = classes == rows.classes;
  const S* end = gradient + tile.first + tile.size * rows.classes;
  const int64_t last = (classes - 1) / lanes * lanes;
  for (int64_t i = 0; i < tile.size; i += lanes) {
    // From the last classes down and from the first row up, so that what a store writes beside its
    // row is written anew afterwards.
    for (int64_t c = last; c >= 0; c -= lanes) {
      const int64_t part = classes - c < lanes ? classes - c : lanes;
      Vector<T> square[lanes];
      for (int64_t k = 0; k < lanes; ++k)
        square[k] = k < part ? load(&buffer[c + k][i]) : Vector<T>{};
      transpose<T>(square);
      for (int64_t k = 0; k < lanes && i + k < tile.size; ++k) {
        S* to = gradient + tile.first + (i + k) * rows.classes + begin + c;
        if (part == lanes || (whole && to + lanes <= end))
          Element<S>::write(to, square[k]);
        else
          Element<S>::write_part(to, square[k], part);
      }
    }
  }
}

template <typename S>
inline void store_rows(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                       const Tile<Compute<S>>& buffer, S* gradient) {
  S* to = gradient + tile.first;
  if (rows.classes == 2) return store_dense<S, 2>(buffer, tile.size, to);
  if (rows.classes == 4) return store_dense<S, 4>(buffer, tile.size, to);
  if (rows.classes == 8) return store_dense<S, 8>(buffer, tile.size, to);
  store_transposed<S>(rows, tile, begin, classes, buffer, gradient);
}

// Past the caches where a vector fills a line.
template <typename T>
inline void write_streaming(T* to, Vector<T> v) {
  if (reinterpret_cast<uintptr_t>(to) % sizeof v == 0)
    stream(to, v);
  else
    store(to, v);
}
inline void write_streaming(BFloat16* to, Vector<float> v) { Element<BFloat16>::write(to, v); }
inline void write_streaming(Half* to, Vector<float> v) { Element<Half>::write(to, v); }

template <typename S>
inline void store_tile(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                       const Tile<Compute<S>>& buffer, S* gradient, bool past_caches) {
  if (rows.inner == 1) return store_rows<S>(rows, tile, begin, classes, buffer, gradient);
  constexpr int64_t lanes = Lanes<Compute<S>>::count;
  S* to = gradient + tile.first + begin * tile.stride;
  for (int64_t c = 0; c < classes; ++c, to += tile.stride) {
    int64_t i = 0;
    for (; i + lanes <= tile.size && past_caches; i += lanes)
      write_streaming(to + i, load(&buffer[c][i]));
    for (; i + lanes <= tile.size; i += lanes) Element<S>::write(to + i, load(&buffer[c][i]));
    if (i < tile.size) Element<S>::write_part(to + i, load(&buffer[c][i]), tile.size - i);
  }
}

// Each row's class among the lanes' integers; -1 for ignored rows and for lanes without a row.
template <typename T>
struct TileTarget {
  using Bits = typename BitsOf<T>::type;
  alignas(64) Bits of[kBatch];
  bool some_ignored;

  TileTarget(const Rows& rows, const TileRows& tile) {
    int64_t ignored = 0;
    for (int64_t k = 0; k < tile.size; ++k) {
      const int64_t y = rows.target[tile.begin + k];
      ignored |= y == rows.ignore_index;
      of[k] = static_cast<Bits>(y == rows.ignore_index ? -1 : y);
    }
    some_ignored = ignored != 0;
    for (int64_t k = tile.size; k < kBatch; ++k) of[k] = -1;
  }
  typename Lanes<T>::Bits at(int64_t i) const {
    typename Lanes<T>::Bits v;
    std::memcpy(&v, of + i, sizeof v);
    return v;
  }
};

}  // namespace
