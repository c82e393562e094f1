// Tiles of logits with the classes apart and the lanes across rows: how they come from memory,
// transposed in registers where classes were adjacent, and go back to it.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "blocks.h"
#include "transpose.h"

namespace {

// Up to kBatch rows and so many classes.
constexpr int64_t kTileClasses = 64;

template <typename T>
using Tile = T[kTileClasses][kBatch];

// Vectors of rows that are worked on together: while one waits for a sum, another goes on.
constexpr int kAtOnce = 2;

// body(k, c, at) for so many classes from c on, and each vector of rows from i on, whose numbers
// lie at `at`.
template <typename T, typename Body>
CROSSENTROPY_INLINE void over_classes(Tile<T>& tile, int64_t i, int64_t classes,
                                      typename Lanes<T>::Bits c, Body body) {
  T* at = &tile[0][i];
  for (int64_t left = classes; left > 0; --left, c += 1, at += kBatch)
    for (int k = 0; k < kAtOnce; ++k) body(k, c, at + k * Lanes<T>::count);
}

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

// A vector of 16 bytes of each of some rows: the first of them, and as many as a piece has elements
// further on the next.
template <typename T>
inline Vector<T> load_pieces(const T* from, int64_t stride) {
  Vector<T> v;
  for (int64_t k = 0; k < Lanes<T>::count / kPiece<T>; ++k)
    std::memcpy(reinterpret_cast<char*>(&v) + 16 * k, from + k * kPiece<T> * stride, 16);
  return v;
}

// As many rows as there are lanes, at `from` and each `stride` on, with `classes` of them wanted.
// All loads are of whole vectors.
template <typename S>
inline void load_square(const S* from, int64_t stride, int64_t classes, Compute<S>* buffer) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  Vector<T> square[lanes];
  for (int64_t k = 0; k < lanes; ++k) square[k] = Element<S>::read(from + k * stride);
  transpose<T>(square);
  if (classes >= lanes)
    for (int64_t k = 0; k < lanes; ++k) store(buffer + k * kBatch, square[k]);
  else
    for (int64_t k = 0; k < lanes; ++k)
      if (k < classes) store(buffer + k * kBatch, square[k]);
}

// The same where the classes fit into 16 bytes.
template <typename T>
inline void load_narrow(const T* from, int64_t stride, int64_t classes, T* buffer) {
  Vector<T> some[kPiece<T>];
  for (int k = 0; k < kPiece<T>; ++k) some[k] = load_pieces(from + k * stride, stride);
  transpose_pieces<T>(some);
  for (int k = 0; k < kPiece<T>; ++k)
    if (k < classes) store(buffer + k * kBatch, some[k]);
}

// Near the end of the input, where a load could reach past it.
template <typename S>
inline void load_last_square(const S* from, const S* end, int64_t stride, int64_t classes,
                             Compute<S>* buffer) {
  for (int64_t k = 0; k < Lanes<Compute<S>>::count; ++k)
    for (int64_t c = 0; c < classes; ++c) {
      const S* at = from + k * stride + c;
      buffer[c * kBatch + k] = at < end ? read_lanes(at, 1)[0] : static_cast<Compute<S>>(0);
    }
}

template <typename S>
inline void load_transposed(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                            Tile<Compute<S>>& buffer) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  const S* logits = static_cast<const S*>(rows.logits);
  const S* end = logits + rows.outer * rows.classes;
  for (int64_t i = 0; i < tile.size; i += lanes) {
    for (int64_t c = 0; c < classes; c += lanes) {
      // what a load takes beside its row is other rows'
      const S* from = logits + tile.first + i * rows.classes + begin + c;
      T* to = &buffer[c][i];
      const int64_t part = classes - c;
      if (end - from < (lanes - 1) * rows.classes + lanes)
        load_last_square(from, end, rows.classes, part < lanes ? part : lanes, to);
      else if constexpr (sizeof(S) == sizeof(T)) {
        if (part <= kPiece<T>)
          load_narrow<T>(from, rows.classes, part, to);
        else
          load_square(from, rows.classes, part, to);
      } else {
        load_square(from, rows.classes, part, to);
      }
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
  if (rows.classes == 8 && Lanes<Compute<S>>::count > 8)
    return load_dense<S, 8>(from, tile.size, buffer);
  load_transposed<S>(rows, tile, begin, classes, buffer);
}

// The cap's slopes go to `slopes`, unless that is null.
template <typename T>
inline void adjust_tile(const Rows& rows, const TileRows& tile, int64_t begin, int64_t classes,
                        Tile<T>& buffer, Tile<T>* slopes = nullptr) {
  if (!is_adjusted(rows)) return;
  const Adjustment<T> adjust(rows);
  const T* bias = static_cast<const T*>(rows.bias);
  for (int64_t c = 0; c < classes; ++c) {
    const Vector<T> b = broadcast<T>(bias ? bias[begin + c] : 0);
    T *row = buffer[c], *slope = slopes ? (*slopes)[c] : nullptr;
    for (int64_t i = 0; i < tile.size; i += Lanes<T>::count)
      store(row + i, rows.cap == 0.0
                         ? adjust(load(row + i), b)
                         : adjust.capped(load(row + i), b, slope ? slope + i : nullptr));
  }
}

template <typename S>
inline void store_square(const Compute<S>* buffer, int64_t classes, S* to, int64_t stride) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  Vector<T> square[lanes];
  if (classes >= lanes)
    for (int64_t k = 0; k < lanes; ++k) square[k] = load(buffer + k * kBatch);
  else
    for (int64_t k = 0; k < lanes; ++k)
      square[k] = k < classes ? load(buffer + k * kBatch) : Vector<T>{};
  transpose<T>(square);
  for (int64_t k = 0; k < lanes; ++k) Element<S>::write(to + k * stride, square[k]);
}

template <typename T>
inline void store_narrow(const T* buffer, int64_t classes, T* to, int64_t stride) {
  constexpr int64_t piece = kPiece<T>;
  Vector<T> some[piece];
  for (int64_t k = 0; k < piece; ++k)
    some[k] = k < classes ? load(buffer + k * kBatch) : Vector<T>{};
  transpose_pieces<T>(some);
  for (int64_t i = 0; i < Lanes<T>::count; i += piece)
    for (int64_t k = 0; k < piece; ++k, to += stride)
      std::memcpy(to, reinterpret_cast<const char*>(&some[k]) + sizeof(T) * i, 16);
}

// Where whole vectors may not be written.
template <typename S>
inline void store_last_square(const Compute<S>* buffer, int64_t classes, S* to, int64_t stride,
                              int64_t size) {
  for (int64_t k = 0; k < size && k < Lanes<Compute<S>>::count; ++k)
    for (int64_t c = 0; c < classes; ++c)
      write_lanes(to + k * stride + c, broadcast(buffer[c * kBatch + k]), 1);
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
      S* to = gradient + tile.first + i * rows.classes + begin + c;
      const T* from = &buffer[c][i];
      const int64_t part = classes - c < lanes ? classes - c : lanes;
      const bool fits = end - to >= (lanes - 1) * rows.classes + lanes;
      if (!fits || (part < lanes && !whole))
        store_last_square(from, part, to, rows.classes, tile.size - i);
      else if constexpr (sizeof(S) == sizeof(T)) {
        if (part <= kPiece<T>)
          store_narrow<T>(from, part, to, rows.classes);
        else
          store_square(from, part, to, rows.classes);
      } else {
        store_square(from, part, to, rows.classes);
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
  if (rows.classes == 8 && Lanes<Compute<S>>::count > 8)
    return store_dense<S, 8>(buffer, tile.size, to);
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

  // Zeros where rows are ignored, whatever their logits were.
  void clear_ignored(int64_t classes, Tile<T>& gradient) const {
    const Vector<T> zero{};
    for (int64_t i = 0; i < kBatch && some_ignored; i += Lanes<T>::count)
      for (int64_t c = 0; c < classes; ++c)
        store(&gradient[c][i], at(i) < 0 ? zero : load(&gradient[c][i]));
  }
};

}  // namespace
