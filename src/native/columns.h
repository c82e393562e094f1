// The row kernels with the lanes across rows: few classes, where a row does not fill the lanes, and
// inputs whose classes lie apart, as the planes of an image.
//
// Every pass over a tile is one plain loop. Included by level.cpp only; see vector.h for why
// everything is static.
#pragma once

#include "tiles.h"

namespace {

// Up to this many adjacent classes lanes across rows win.
constexpr int64_t kFewClasses = 128;

// A class, in every lane of the integers that a target is among.
template <typename T>
inline typename Lanes<T>::Bits first_class(int64_t c) {
  return typename Lanes<T>::Bits{} + static_cast<typename BitsOf<T>::type>(c);
}

// ---- statistics ---------------------------------------------------------------------------------

// The sums of a tile's rows, and what is known of the rows so far.
template <typename T>
struct TileSums {
  alignas(64) double max[kBatch], sum[kBatch], squares[kBatch], weighted[kBatch];
  alignas(64) T own[kBatch], reference[kBatch], best[kBatch];
  alignas(64) typename BitsOf<T>::type first[kBatch];  // the first class that has `best`
};

// The first tile's sums become the batch's; later ones are added, relative to whichever maximum is
// greater.
template <typename T>
inline void add_to_batch(const Rows& rows, const TileSums<T>& sums, bool first, int64_t k,
                         Batch& batch) {
  const Vector<double> least = broadcast(Exp<double>::lowest), zero{}, one = zero + 1.0;
  const Vector<double> max = load(sums.max + k), sum = load(sums.sum + k);
  const Vector<double> squares = load(sums.squares + k);
  if (first) {
    store(batch.max + k, max);
    store(batch.sum + k, sum);
    store(batch.squares + k, squares);
    if (rows.weight) store(batch.weighted + k, load(sums.weighted + k));
    return;
  }
  const Vector<double> old = load(batch.max + k);
  const auto above = max > old;
  const Vector<double> distance = max == -kInfinity ? zero : above ? old - max : max - old;
  const Vector<double> down = exp_above<double>(distance, least);
  const Vector<double> of_old = above ? down : one, of_new = above ? one : down;
  store(batch.max + k, above ? max : old);
  store(batch.sum + k, load(batch.sum + k) * of_old + sum * of_new);
  store(batch.squares + k, load(batch.squares + k) * of_old * of_old + squares * of_new * of_new);
  if (rows.weight) store(batch.weighted + k, load(batch.weighted + k) + load(sums.weighted + k));
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
  store_doubles(sums.weighted + i, weighted);
}

// Of rows from i on. With `kept` the tile's logits become exp(z - max of the tile), for the
// gradient. Each row's own goes to the sums, and is in none of them.
template <bool kept, typename T>
inline void reduce_lanes(const Rows& rows, Tile<T>& buffer, int64_t begin, int64_t classes,
                         int64_t i, const TileTarget<T>& target, Batch& batch, TileSums<T>& sums) {
  constexpr int64_t lanes = Lanes<T>::count;
  const Vector<T> lowest = broadcast(static_cast<T>(-kInfinity)), zero{};
  const auto first = first_class<T>(begin);
  typename Lanes<T>::Bits y[kAtOnce];
  Vector<T> max[kAtOnce], own[kAtOnce], shift[kAtOnce], sum[kAtOnce], squares[kAtOnce];
  for (int k = 0; k < kAtOnce; ++k) {
    y[k] = target.at(i + k * lanes);
    own[k] = begin == 0 ? lowest : load(sums.own + i + k * lanes);
    max[k] = lowest;
    sum[k] = squares[k] = zero;
  }
  over_classes(buffer, i, classes, first, [&](int k, auto c, T* at) {
    const auto is_own = y[k] == c;
    const Vector<T> z = load(at), other = is_own ? lowest : z;
    store(at, other);
    own[k] = is_own ? z : own[k];
    max[k] = larger<T>(max[k], other);
  });
  for (int k = 0; k < kAtOnce; ++k) shift[k] = max[k] == lowest ? zero : max[k];
  for (int k = 0; k < kAtOnce && rows.weight; ++k)
    weigh_lanes<T>(rows, buffer, begin, classes, i + k * lanes, y[k], shift[k], sums);
  over_classes(buffer, i, classes, first, [&](int k, auto, T* at) {
    const Vector<T> e = exp_above<T>(load(at) - shift[k], broadcast(Exp<T>::lowest));
    if (kept)
      store(at, e);
    else
      squares[k] += e * e;
    sum[k] += e;
  });
  for (int k = 0; k < kAtOnce; ++k) {
    // all masked, or hiding a NaN
    const auto masked = max[k] == lowest;
    sum[k] = masked ? (sum[k] == sum[k] ? zero : sum[k]) : sum[k];
    const int64_t of = i + k * lanes;
    store(sums.own + of, own[k]);
    store_doubles(sums.max + of, max[k]);
    store_doubles(sums.sum + of, sum[k]);
    store_doubles(sums.squares + of, masked ? zero : squares[k]);
  }
  for (int64_t k = i; k < i + kAtOnce * lanes; k += Lanes<double>::count)
    add_to_batch(rows, sums, begin == 0, k, batch);
}

// The first class of the greatest logit so far, or of a NaN.
template <typename T>
inline void best_of_lanes(Tile<T>& buffer, int64_t begin, int64_t classes, int64_t i,
                          TileSums<T>& sums) {
  using Classes = typename Lanes<T>::Bits;
  constexpr int64_t lanes = Lanes<T>::count;
  Vector<T> best[kAtOnce];
  Classes first[kAtOnce] = {};
  for (int k = 0; k < kAtOnce; ++k) {
    best[k] = load((begin == 0 ? buffer[0] : sums.best) + i + k * lanes);
    if (begin > 0) std::memcpy(&first[k], sums.first + i + k * lanes, sizeof first[k]);
  }
  over_classes(buffer, i, classes, first_class<T>(begin), [&](int k, Classes c, T* at) {
    const Vector<T> z = load(at);
    const auto better = (z > best[k]) | ((z != z) & (best[k] == best[k]));
    best[k] = better ? z : best[k];
    first[k] = better ? c : first[k];
  });
  for (int k = 0; k < kAtOnce; ++k) {
    store(sums.best + i + k * lanes, best[k]);
    std::memcpy(sums.first + i + k * lanes, &first[k], sizeof first[k]);
  }
}

// What the batch needs beside the sums.
template <typename T>
inline void finish_tile(const Rows& rows, const TileTarget<T>& target, const TileSums<T>& sums,
                        int64_t size, Batch& batch) {
  for (int64_t k = 0; k < size; k += Lanes<T>::count)
    store_doubles(batch.target_logit + k, load(sums.own + k));
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
  for (int64_t size; begin < end; begin += size) {
    const TileRows tile(rows, begin, end);
    size = tile.size;
    const TileTarget<T> target(rows, tile);
    for (int64_t c = 0; c < rows.classes; c += kTileClasses) {
      const int64_t classes = rows.classes - c < kTileClasses ? rows.classes - c : kTileClasses;
      load_tile<S>(rows, tile, c, classes, buffer);
      adjust_tile<T>(rows, tile, c, classes, buffer);
      for (int64_t i = 0; i < size && out.argmax; i += kAtOnce * lanes)
        best_of_lanes<T>(buffer, c, classes, i, sums);
      for (int64_t i = 0; i < size; i += kAtOnce * lanes)
        reduce_lanes<false, T>(rows, buffer, c, classes, i, target, batch, sums);
    }
    finish_tile(rows, target, sums, size, batch);
    for (int64_t k = 0; k < size && out.argmax; ++k)
      out.argmax[begin + k] = target.of[k] < 0 ? 0 : sums.first[k];
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
      adjust_tile<T>(rows, tile, c, classes, buffer, capped ? &slope : nullptr);
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
