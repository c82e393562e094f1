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

// A later tile's sums, relative to whichever maximum is greater.
template <typename T>
inline void add_to_batch(const TileSums<T>& sums, int64_t k, Batch& batch) {
  const Vector<double> least = broadcast(Exp<double>::lowest), zero{}, one = zero + 1.0;
  const Vector<double> old = load(batch.max + k), max = load(sums.max + k);
  const auto above = max > old;
  const Vector<double> distance = above ? old - max : max - old;
  const Vector<double> down = exp_above<double>(max == -kInfinity ? zero : distance, least);
  const Vector<double> of_old = above ? down : one, of_new = above ? one : down;
  store(batch.max + k, above ? max : old);
  store(batch.sum + k, load(batch.sum + k) * of_old + load(sums.sum + k) * of_new);
  store(batch.squares + k,
        load(batch.squares + k) * of_old * of_old + load(sums.squares + k) * of_new * of_new);
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

// With `kept` the tile's logits become exp(z - max of the tile), for the gradient. Each row's own
// goes to the sums, and is in none of them.
template <bool kept, typename T>
inline void reduce_lanes(const Rows& rows, Tile<T>& buffer, int64_t begin, int64_t classes,
                         int64_t i, typename Lanes<T>::Bits target, Batch& batch,
                         TileSums<T>& sums) {
  const Vector<T> lowest = broadcast(static_cast<T>(-kInfinity)), zero{};
  Vector<T> max = lowest, own = begin == 0 ? lowest : load(sums.own + i);
  T* at = &buffer[0][i];
  auto c_of = first_class<T>(begin);
  for (int64_t left = classes; left > 0; --left, c_of += 1, at += kBatch) {
    const auto is_own = target == c_of;
    const Vector<T> z = load(at), other = is_own ? lowest : z;
    store(at, other);
    own = is_own ? z : own;
    max = larger<T>(max, other);
  }
  store(sums.own + i, own);
  const Vector<T> shift = max == lowest ? zero : max;
  if (rows.weight) weigh_lanes<T>(rows, buffer, begin, classes, i, target, shift, sums);
  Vector<T> sum{}, squares{};
  at = &buffer[0][i];
  for (int64_t left = classes; left > 0; --left, at += kBatch) {
    const Vector<T> e = exp_above<T>(load(at) - shift, broadcast(Exp<T>::lowest));
    if (kept)
      store(at, e);
    else
      squares += e * e;
    sum += e;
  }
  // all masked, or hiding a NaN
  sum = max == lowest ? (sum == sum ? zero : sum) : sum;
  squares = max == lowest ? zero : squares;
  store_doubles(sums.max + i, max);
  if (begin == 0) {
    store_doubles(batch.max + i, max);
    store_doubles(batch.sum + i, sum);
    store_doubles(batch.squares + i, squares);
  } else {
    store_doubles(sums.sum + i, sum);
    store_doubles(sums.squares + i, squares);
    for (int64_t k = i; k < i + Lanes<T>::count; k += Lanes<double>::count)
      add_to_batch(sums, k, batch);
  }
  for (int64_t k = i; k < i + Lanes<T>::count && rows.weight; ++k)
    batch.weighted[k] = sums.weighted[k] + (begin == 0 ? 0.0 : batch.weighted[k]);
}

// The first class of the greatest logit so far, or of a NaN.
template <typename T>
inline void best_of_lanes(const Tile<T>& buffer, int64_t begin, int64_t classes, int64_t i,
                          TileSums<T>& sums) {
  using Classes = typename Lanes<T>::Bits;
  Vector<T> best = load(begin == 0 ? &buffer[0][i] : sums.best + i);
  Classes first{};
  if (begin > 0) std::memcpy(&first, sums.first + i, sizeof first);
  const T* at = &buffer[0][i];
  Classes c_of = first_class<T>(begin);
  for (int64_t left = classes; left > 0; --left, c_of += 1, at += kBatch) {
    const Vector<T> z = load(at);
    const auto better = (z > best) | ((z != z) & (best == best));
    best = better ? z : best;
    first = better ? c_of : first;
  }
  store(sums.best + i, best);
  std::memcpy(sums.first + i, &first, sizeof first);
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
      for (int64_t i = 0; i < size && out.argmax; i += lanes)
        best_of_lanes<T>(buffer, c, classes, i, sums);
      for (int64_t i = 0; i < size; i += lanes)
        reduce_lanes<false, T>(rows, buffer, c, classes, i, target.at(i), batch, sums);
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
