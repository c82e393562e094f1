// The row kernels with the lanes across rows: few classes, where a row does not fill the lanes, and
// inputs whose classes lie apart, as the planes of an image.
//
// A tile of up to kBatch rows and kTileClasses classes is copied to a buffer with the classes apart
// (transposed in registers where they were adjacent), and every pass over it is one plain loop.
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "blocks.h"

namespace {

constexpr int64_t kTileClasses = 64;

// Up to this many adjacent classes lanes across rows win.
constexpr int64_t kFewClasses = 128;

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

// ---- statistics ---------------------------------------------------------------------------------

// The running sums of a tile's rows.
template <typename T>
struct TileSums {
  alignas(64) T max[kBatch], own[kBatch], reference[kBatch], best[kBatch];
  alignas(64) T sum[kBatch], weighted[kBatch];
};

template <typename T>
inline void begin_batch(const Rows& rows, const TileSums<T>& sums, int64_t i, Batch& batch) {
  for (int64_t k = i; k < i + Lanes<T>::count; ++k) {
    batch.max[k] = static_cast<double>(sums.max[k]);
    batch.sum[k] = static_cast<double>(sums.sum[k]);
  }
  if (rows.weight == nullptr) return;
  for (int64_t k = i; k < i + Lanes<T>::count; ++k)
    batch.weighted[k] = static_cast<double>(sums.weighted[k]);
}

template <typename T>
inline void add_to_batch(const Rows& rows, const TileSums<T>& sums, int64_t i, Batch& batch) {
  for (int64_t k = i; k < i + Lanes<T>::count; ++k) {
    const double max = static_cast<double>(sums.max[k]), sum = static_cast<double>(sums.sum[k]);
    if (max > batch.max[k]) {
      batch.sum[k] = batch.sum[k] * ::exp(batch.max[k] - max) + sum;
      batch.max[k] = max;
    } else {
      batch.sum[k] += max == -kInfinity ? sum : sum * ::exp(max - batch.max[k]);
    }
    if (rows.weight) batch.weighted[k] += static_cast<double>(sums.weighted[k]);
  }
}

// sum_j w_j (z_j - reference) of a tile, the first one's max being the reference.
template <typename T>
inline void weigh_lanes(const Rows& rows, const Tile<T>& buffer, int64_t begin, int64_t classes,
                        int64_t i, typename Lanes<T>::Bits target, Vector<T> shift,
                        TileSums<T>& sums) {
  using Bits = typename BitsOf<T>::type;
  const T* weight = static_cast<const T*>(rows.weight) + begin;
  if (begin == 0) store(sums.reference + i, shift);
  const Vector<T> reference = load(sums.reference + i), zero{};
  Vector<T> weighted{};
  for (int64_t c = 0; c < classes; ++c) {
    if (weight[c] == 0) continue;
    const Vector<T> below = (load(&buffer[c][i]) - reference) * weight[c];
    weighted += target == static_cast<Bits>(begin + c) ? zero : below;
  }
  store(sums.weighted + i, weighted);
}

// With `kept` the tile's logits become exp(z - max of the tile), for the gradient.
template <bool kept, typename T>
inline void reduce_lanes(const Rows& rows, Tile<T>& buffer, int64_t begin, int64_t classes,
                         int64_t i, typename Lanes<T>::Bits target, Batch& batch,
                         TileSums<T>& sums) {
  using Bits = typename BitsOf<T>::type;
  const Vector<T> lowest = broadcast(static_cast<T>(-kInfinity)), zero{};
  Vector<T> max = lowest, own = load(sums.own + i);
  for (int64_t c = 0; c < classes; ++c) {
    const Vector<T> z = load(&buffer[c][i]);
    const auto is_target = target == static_cast<Bits>(begin + c);
    own = is_target ? z : own;
    max = larger<T>(max, is_target ? lowest : z);
  }
  store(sums.own + i, own);
  const Vector<T> shift = max == lowest ? zero : max;
  if (rows.weight) weigh_lanes<T>(rows, buffer, begin, classes, i, target, shift, sums);
  Vector<T> sum{};
  for (int64_t c = 0; c < classes; ++c) {
    const Vector<T> below = load(&buffer[c][i]) - shift;
    const Vector<T> e =
        kept ? exp_above<T>(below, broadcast(Exp<T>::lowest)) : exp_of_negative<T>(below);
    if (kept) store(&buffer[c][i], e);
    sum += target == static_cast<Bits>(begin + c) ? zero : e;
  }
  // all masked, or hiding a NaN
  sum = max == lowest ? (sum == sum ? zero : sum) : sum;
  store(sums.max + i, max);
  store(sums.sum + i, sum);
  if (begin == 0)
    begin_batch(rows, sums, i, batch);
  else
    add_to_batch(rows, sums, i, batch);
}

// The first class of the greatest logit so far, or of a NaN.
template <typename T>
inline void best_of_lanes(const Tile<T>& buffer, int64_t begin, int64_t classes, int64_t i,
                          TileSums<T>& sums, int64_t* argmax) {
  for (int64_t k = i; k < i + Lanes<T>::count; ++k) {
    for (int64_t c = 0; c < classes; ++c) {
      const T z = buffer[c][k];
      if (begin + c > 0 && !(z > sums.best[k]) && !(z != z && sums.best[k] == sums.best[k]))
        continue;
      sums.best[k] = z;
      argmax[k] = begin + c;
    }
  }
}

// What the batch needs beside the sums.
template <typename T>
inline void finish_tile(const Rows& rows, const TileTarget<T>& target, const TileSums<T>& sums,
                        int64_t size, Batch& batch) {
  for (int64_t k = 0; k < size; ++k) batch.target_logit[k] = static_cast<double>(sums.own[k]);
  for (int64_t k = 0; k < size && rows.weight; ++k) {
    const auto y = target.of[k] < 0 ? 0 : target.of[k];
    batch.target_weight[k] = static_cast<double>(static_cast<const T*>(rows.weight)[y]);
    batch.reference[k] = static_cast<double>(sums.reference[k]);
  }
  for (int64_t k = 0; k < size && target.some_ignored; ++k)
    if (target.of[k] < 0) batch.ignore(k);
}

template <typename S>
void statistics_of_columns(const Rows& rows, const Statistics& out, int64_t begin, int64_t end) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  alignas(64) Tile<T> buffer;
  TileSums<T> sums;
  Batch batch;
  int64_t argmax[kBatch];
  for (int64_t size; begin < end; begin += size) {
    const TileRows tile(rows, begin, end);
    size = tile.size;
    const TileTarget<T> target(rows, tile);
    for (int64_t c = 0; c < rows.classes; c += kTileClasses) {
      const int64_t classes = rows.classes - c < kTileClasses ? rows.classes - c : kTileClasses;
      load_tile<S>(rows, tile, c, classes, buffer);
      adjust_tile<T>(rows, tile, c, classes, buffer);
      for (int64_t i = 0; i < size; i += lanes) {
        reduce_lanes<false, T>(rows, buffer, c, classes, i, target.at(i), batch, sums);
        if (out.argmax) best_of_lanes<T>(buffer, c, classes, i, sums, argmax);
      }
    }
    finish_tile(rows, target, sums, size, batch);
    for (int64_t k = 0; k < size && out.argmax; ++k)
      out.argmax[begin + k] = target.of[k] < 0 ? 0 : argmax[k];
    finish(rows, batch, out, begin, size);
  }
}

// ---- gradient -----------------------------------------------------------------------------------

template <typename T>
inline void gradient_of_lanes(const Rows& rows, Tile<T>& buffer, int64_t begin, int64_t classes,
                              int64_t i, typename Lanes<T>::Bits target,
                              const BatchSlopes<T>& slopes, bool weighted,
                              const Tile<T>* cap_slope) {
  using Bits = typename BitsOf<T>::type;
  const Vector<T> high = load(slopes.high + i), low = load(slopes.low + i);
  const Vector<T> a = load(slopes.a + i), entry = load(slopes.entry + i);
  const Vector<T> least = broadcast(Exp<T>::lowest), zero{};
  const T* weight = weighted ? static_cast<const T*>(rows.weight) + begin : nullptr;
  const Vector<T> push = weighted ? load(slopes.c + i) : zero;
  for (int64_t c = 0; c < classes; ++c) {
    const Vector<T> x = (load(&buffer[c][i]) - high) - low;
    Vector<T> g = (slopes.folded ? exp<T>(x) : exp_above<T>(x, least)) * a;
    g = target == static_cast<Bits>(begin + c) ? entry : g;
    if (weighted) g -= push * weight[c];
    if (cap_slope) g *= load(&(*cap_slope)[c][i]);
    store(&buffer[c][i], target < 0 ? zero : g);
  }
}

// d cap tanh(z / cap) / dz at the raw logits, kept while the buffer is worked on.
template <typename T>
inline void cap_slopes(const Rows& rows, const TileRows& tile, int64_t classes,
                       const Tile<T>& buffer, Tile<T>& slope) {
  const T cap = static_cast<T>(rows.cap);
  for (int64_t c = 0; c < classes; ++c)
    for (int64_t i = 0; i < tile.size; i += Lanes<T>::count)
      store(&slope[c][i], tanh_slope<T>(load(&buffer[c][i]) / cap));
}

template <typename S>
void gradient_of_columns(const Rows& rows, const Statistics& statistics, const Slopes& slopes,
                         const Gradient& gradient, int64_t begin, int64_t end) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  alignas(64) Tile<T> buffer, slope;
  BatchSlopes<T> batch;
  const bool weighted = slopes.c.data != nullptr, capped = rows.cap != 0.0;
  for (int64_t size; begin < end; begin += size) {
    const TileRows tile(rows, begin, end);
    size = tile.size;
    const TileTarget<T> target(rows, tile);
    batch.take(rows, statistics, slopes, begin, size);
    for (int64_t c = 0; c < rows.classes; c += kTileClasses) {
      const int64_t classes = rows.classes - c < kTileClasses ? rows.classes - c : kTileClasses;
      load_tile<S>(rows, tile, c, classes, buffer);
      if (capped) cap_slopes<T>(rows, tile, classes, buffer, slope);
      adjust_tile<T>(rows, tile, c, classes, buffer);
      for (int64_t i = 0; i < size; i += lanes)
        gradient_of_lanes<T>(rows, buffer, c, classes, i, target.at(i), batch, weighted,
                             capped ? &slope : nullptr);
      store_tile<S>(rows, tile, c, classes, buffer, static_cast<S*>(gradient.data),
                    gradient.stream);
    }
  }
  if (gradient.stream) fence();
}

}  // namespace
