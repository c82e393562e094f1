// The moments pass: of each row the logsumexp of beta z, and the mean and the variance of z under
// the softmax of beta z, in one read. Fits of temperatures are made of them.
//
// A logit whose probability is 0 in the type of the arithmetic counts as masked. Sums are relative
// to the greatest logit, in double from one block or tile to the next. Included by level.cpp only;
// see vector.h for why everything is static.
#pragma once

#include "passes.h"

namespace {

// Of exp(beta t), t exp(beta t) and t^2 exp(beta t), with t the logits less the greatest.
struct MomentSums {
  double max = -kInfinity, zeroth = 0.0, first = 0.0, second = 0.0;

  // About another place, from which the old one lies so far.
  void move(double distance, double beta) {
    const double factor = ::exp(beta * distance);
    second = factor * (second + distance * (2.0 * first + distance * zeroth));
    first = factor * (first + distance * zeroth);
    zeroth *= factor;
  }
  void add(MomentSums other, double beta) {
    if (other.max == -kInfinity) {  // nothing, or a NaN
      zeroth += other.zeroth;
      return;
    }
    if (max == -kInfinity) {
      other.zeroth += zeroth;
      *this = other;
      return;
    }
    if (other.max > max) {
      move(max - other.max, beta);
      max = other.max;
    } else {
      other.move(other.max - max, beta);
    }
    zeroth += other.zeroth;
    first += other.first;
    second += other.second;
  }
};

// The sums of a batch of rows, on their way to moments.
struct MomentBatch {
  alignas(64) double max[kBatch], zeroth[kBatch], first[kBatch], second[kBatch];

  void put(int64_t k, const MomentSums& sums) {
    max[k] = sums.max;
    zeroth[k] = sums.zeroth;
    first[k] = sums.first;
    second[k] = sums.second;
  }
  MomentSums at(int64_t k) const { return {max[k], zeroth[k], first[k], second[k]}; }

  void finish(const Moments& out, int64_t begin, int64_t size) const {
    const Vector<double> zero{};
    for (int64_t k = 0; k < size; k += Lanes<double>::count) {
      const Vector<double> top = load(max + k), inverse = 1.0 / load(zeroth + k);
      const Vector<double> mean = load(first + k) * inverse;
      const Vector<double> variance = load(second + k) * inverse - mean * mean;
      // NaN where the greatest logit is infinite
      const Vector<double> sum = load(zeroth + k) + (top - top);
      const Vector<double> lse = log(sum) + (out.beta == 0.0 ? zero : top * out.beta);
      const int64_t i = begin + k, part = size - k;
      write_lanes(out.lse + i, lse, part);
      write_lanes(out.mean + i, top + mean, part);
      write_lanes(out.variance + i, variance < 0.0 ? zero : variance, part);
    }
  }
};

// The three sums of a vector of logits after another.
template <typename T>
struct MomentLanes {
  Vector<T> zeroth{}, first{}, second{};

  CROSSENTROPY_INLINE void add(Vector<T> below, Vector<T> beta, Vector<T> least) {
    const Vector<T> zero{};
    const auto nothing = below < least;  // not a NaN, which goes on
    const Vector<T> t = nothing ? zero : below;
    const Vector<T> e = exp_within<T>(t * beta), kept = nothing ? zero : e, product = kept * t;
    zeroth += kept;
    first += product;
    second += product * t;
  }
};

// The least logit below the greatest whose probability is not 0; finite, so that -inf is less.
template <typename T>
inline T least_below(double beta) {
  const T bound = static_cast<T>(sizeof(T) == 4 ? -3.4e38 : -1.79e308);
  const T least = static_cast<T>(static_cast<double>(Exp<T>::lowest) / beta);
  return least > bound ? least : bound;
}

template <typename S>
void moments_of_rows(const Rows& rows, const Moments& out, int64_t begin, int64_t end) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  alignas(64) T buffer[kBlock];
  const Vector<T> beta = broadcast(static_cast<T>(out.beta));
  const Vector<T> least = broadcast(least_below<T>(out.beta));
  MomentBatch batch;
  for (int64_t i = begin; i < end; ++i) {
    const S* row = static_cast<const S*>(rows.logits) + i * rows.classes;
    MomentSums sums;
    for (int64_t c = 0; c < rows.classes; c += kBlock) {
      const int64_t size = rows.classes - c < kBlock ? rows.classes - c : kBlock;
      const int64_t padded = round_up(size, lanes);
      const T max = fill_block(rows, row, c, size, -1, buffer);
      const T shift = max == static_cast<T>(-kInfinity) ? 0 : max;
      const Ahead<S> ahead = {row + c + size};
      MomentLanes<T> even, odd;
      int64_t j = 0;
      for (; j + 2 * lanes <= padded; j += 2 * lanes) {
        ahead(j);
        ahead(j + lanes);
        even.add(load(buffer + j) - shift, beta, least);
        odd.add(load(buffer + j + lanes) - shift, beta, least);
      }
      if (j < padded) even.add(load(buffer + j) - shift, beta, least);
      sums.add({static_cast<double>(max), reduce_add(even.zeroth + odd.zeroth),
                reduce_add(even.first + odd.first), reduce_add(even.second + odd.second)},
               out.beta);
    }
    const int64_t k = (i - begin) % kBatch;
    batch.put(k, sums);
    if (k == kBatch - 1 || i == end - 1) batch.finish(out, i - k, k + 1);
  }
}

// Some classes of as many rows as there are lanes, after those before.
template <typename T>
inline void moments_of_lanes(const Tile<T>& buffer, int64_t begin, int64_t classes, int64_t i,
                             double beta, MomentBatch& batch) {
  constexpr int64_t lanes = Lanes<T>::count;
  const Vector<T> lowest = broadcast(static_cast<T>(-kInfinity)), zero{};
  const Vector<T> by = broadcast(static_cast<T>(beta)), least = broadcast(least_below<T>(beta));
  Vector<T> top = lowest;
  for (int64_t c = 0; c < classes; ++c) top = larger<T>(top, load(&buffer[c][i]));
  const Vector<T> shift = top == lowest ? zero : top;
  MomentLanes<T> sums;
  for (int64_t c = 0; c < classes; ++c) sums.add(load(&buffer[c][i]) - shift, by, least);
  for (int64_t k = 0; k < lanes; ++k) {
    const MomentSums own = {static_cast<double>(top[k]), static_cast<double>(sums.zeroth[k]),
                            static_cast<double>(sums.first[k]),
                            static_cast<double>(sums.second[k])};
    if (begin == 0) {
      batch.put(i + k, own);
      continue;
    }
    MomentSums all = batch.at(i + k);
    all.add(own, beta);
    batch.put(i + k, all);
  }
}

template <typename S>
void moments_of_columns(const Rows& rows, const Moments& out, int64_t begin, int64_t end) {
  using T = Compute<S>;
  alignas(64) Tile<T> buffer;
  MomentBatch batch;
  for (int64_t size; begin < end; begin += size) {
    const TileRows tile(rows, begin, end);
    size = tile.size;
    for (int64_t c = 0; c < rows.classes; c += kTileClasses) {
      const int64_t classes = rows.classes - c < kTileClasses ? rows.classes - c : kTileClasses;
      load_tile<S>(rows, tile, c, classes, buffer);
      for (int64_t i = 0; i < size; i += Lanes<T>::count)
        moments_of_lanes<T>(buffer, c, classes, i, out.beta, batch);
    }
    batch.finish(out, begin, size);
  }
}

template <typename S>
void moments(const Rows& rows, const Moments& out, int64_t begin, int64_t end) {
  (across_rows(rows) ? moments_of_columns<S> : moments_of_rows<S>)(rows, out, begin, end);
}

}  // namespace
