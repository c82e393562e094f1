// The row kernels with the lanes along a row, for contiguous rows of many classes.
//
// A row is read in blocks that stay in the first-level cache. A block is copied to a buffer as the
// rule sees it (widened, adjusted, the tail padded), so that every later pass over it is one plain
// loop whatever the row's length, target, type or options. Rows are read from memory once; while a
// block is worked on, the next one is fetched.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "row_blocks.h"

namespace {

// ---- statistics ---------------------------------------------------------------------------------

// Of exp(z_j - max) of a block: their sum, and that of their squares; and that of z_j - max.
struct ExpSums {
  double sum = 0.0, squares = 0.0, below = 0.0;

  // Relative to a maximum that is so many times as far.
  void scale(double down) {
    sum *= down;
    squares *= down * down;
  }
  void add(ExpSums other) {
    sum += other.sum;
    squares += other.squares;
  }
};

// What a pass over a block is for, beside the sum of its exponentials.
enum class Purpose { kSquares, kGradient, kGradientAndSum };

// One that is kept for the gradient has to be 0 where it is negligible.
template <Purpose purpose, typename T>
struct ExpLanes {
  Vector<T> sum{}, squares{}, belows{};

  CROSSENTROPY_INLINE void add(const T* buffer, int64_t j, T shift, T* keep) {
    const Vector<T> below = load(buffer + j) - shift;
    if constexpr (purpose != Purpose::kSquares) {
      const Vector<T> e = exp_above<T>(below, broadcast(Exp<T>::lowest));
      store(keep + j, e);
      sum += e;
      if constexpr (purpose == Purpose::kGradientAndSum) belows += below;
    } else {
      const Vector<T> e = exp_of_negative<T>(below);
      sum += e;
      squares += e * e;
    }
  }
};

// A block whose maximum is -inf is masked logits, or hides a NaN: its sum is 0, or NaN.
template <Purpose purpose, typename T, typename S>
inline ExpSums sum_exp(const T* buffer, int64_t padded, T max, Ahead<S> ahead, T* keep) {
  constexpr int64_t lanes = Lanes<T>::count;
  const bool masked = max == static_cast<T>(-kInfinity);
  const T shift = masked ? 0 : max;
  ExpLanes<purpose, T> s0, s1, s2, s3;
  int64_t j = 0;
  for (; j + 4 * lanes <= padded; j += 4 * lanes) {
    for (int64_t k = 0; k < 4; ++k) ahead(j + k * lanes);
    s0.add(buffer, j, shift, keep);
    s1.add(buffer, j + lanes, shift, keep);
    s2.add(buffer, j + 2 * lanes, shift, keep);
    s3.add(buffer, j + 3 * lanes, shift, keep);
  }
  for (; j < padded; j += lanes) s0.add(buffer, j, shift, keep);
  const double sum = reduce_add((s0.sum + s1.sum) + (s2.sum + s3.sum));
  if (masked) return {sum == sum ? 0.0 : sum};
  return {sum, reduce_add((s0.squares + s1.squares) + (s2.squares + s3.squares)),
          reduce_add((s0.belows + s1.belows) + (s2.belows + s3.belows))};
}

// So far below the greatest logit that the exponential is 0.
template <typename T>
inline T place_below(T max) {
  return max + 2 * Exp<T>::lowest;
}

// Whether there is such a place: numbers of 2^32 have none so near, nor has infinity.
template <typename T>
inline bool has_place_below(T max) {
  return place_below(max) - max < Exp<T>::lowest;
}

// As `sum_exp`, of a block whose logits are summed, too: what is none of them, the target and what
// pads the block, gets that place, and is taken out of the sum.
template <typename T, typename S>
inline ExpSums sum_exp_and_logits(T* buffer, int64_t size, int64_t target, T max, Ahead<S> ahead,
                                  T* keep) {
  const int64_t padded = round_up(size, Lanes<T>::count);
  const T none = place_below(max);
  if (target >= 0) buffer[target] = none;
  for (int64_t j = size; j < padded; ++j) buffer[j] = none;
  ExpSums sums = sum_exp<Purpose::kGradientAndSum, T, S>(buffer, padded, max, ahead, keep);
  const auto beside = static_cast<double>(padded - size + (target >= 0 ? 1 : 0));
  sums.below -= beside * static_cast<double>(none - max);
  return sums;
}

// sum_j (z_j - reference)
template <typename T>
inline double even_sum(const T* buffer, int64_t size, T reference) {
  constexpr int64_t lanes = Lanes<T>::count;
  Vector<T> s0{}, s1{}, s2{}, s3{};
  int64_t j = 0;
  for (; j + 4 * lanes <= size; j += 4 * lanes) {
    s0 += load(buffer + j) - reference;
    s1 += load(buffer + j + lanes) - reference;
    s2 += load(buffer + j + 2 * lanes) - reference;
    s3 += load(buffer + j + 3 * lanes) - reference;
  }
  for (; j < size; j += lanes) s0 += read_lanes(buffer + j, size - j, reference) - reference;
  return reduce_add((s0 + s1) + (s2 + s3));
}

// sum_j w_j (z_j - reference); w_j = 0 contributes nothing, even at z_j = -inf.
template <typename T>
inline double weighted_sum(const T* buffer, const T* weight, int64_t size, T reference) {
  constexpr int64_t lanes = Lanes<T>::count;
  Vector<T> s0{}, s1{};
  const auto product = [&](Vector<T> w, int64_t j) {
    const Vector<T> zero{}, below = load(buffer + j) - reference;
    return w == static_cast<T>(0) ? zero : w * below;
  };
  int64_t j = 0;
  for (; j + 2 * lanes <= size; j += 2 * lanes) {
    s0 += product(load(weight + j), j);
    s1 += product(load(weight + j + lanes), j + lanes);
  }
  for (; j < size; j += lanes) s0 += product(read_lanes(weight + j, size - j), j);
  return reduce_add(s0 + s1);
}

// The first class of the greatest logit so far, or of a NaN.
template <typename T>
struct Best {
  T value = static_cast<T>(-kInfinity);
  int64_t index = 0;

  // `max` is the block's greatest number; `bad` where it may hold a NaN beside.
  void see(const T* buffer, int64_t begin, int64_t size, T max, bool bad) {
    if (value != value) return;
    for (int64_t j = 0; bad && j < size; ++j) {
      if (buffer[j] == buffer[j]) continue;
      value = buffer[j];
      index = begin + j;
      return;
    }
    if (!(max > value)) return;
    value = max;
    for (int64_t j = 0; j < size; ++j) {
      if (buffer[j] != max) continue;
      index = begin + j;
      return;
    }
  }
};

// What a pass over a row leaves for its gradient: exp(z - max of the block), the blocks' maxima,
// and the cap's slopes where there is a cap.
template <typename T>
struct KeptRow {
  T* exps;
  double* maxima;
  T* cap_slopes;
};

// One pass over a row, the target left out of its sums.
template <bool kept, typename S>
inline void reduce_row(const Rows& rows, const S* row, int64_t target, int64_t k, Batch& batch,
                       int64_t* argmax, const KeptRow<Compute<S>>& keep) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count;
  alignas(64) T buffer[kBlock];
  constexpr T lowest = static_cast<T>(-kInfinity);
  const T* weight = static_cast<const T*>(rows.weight);
  double max = -kInfinity, weighted = 0.0;
  ExpSums sums;
  T own = lowest, reference = 0;
  Best<T> best;
  for (int64_t begin = 0; begin < rows.classes; begin += kBlock) {
    const int64_t size = rows.classes - begin < kBlock ? rows.classes - begin : kBlock;
    const bool holds_target = target >= begin && target < begin + size;
    const int64_t place = target - begin, skipped = holds_target ? place / lanes * lanes : -1;
    T top = fill_block(rows, row, begin, size, skipped, buffer,
                       kept && keep.cap_slopes ? keep.cap_slopes + begin : nullptr);
    if (holds_target) {
      own = buffer[place];
      buffer[place] = lowest;
      const T beside = reduce_max<T>(load(buffer + skipped));
      top = beside > top ? beside : top;
    }
    const double block = static_cast<double>(top);
    if (weight && begin == 0) reference = top == lowest ? 0 : top;
    const Ahead<S> ahead = {row + begin + size};
    T* exps = kept ? keep.exps + begin : nullptr;
    const bool summed = kept && weight && rows.even && has_place_below(top);
    ExpSums of_block;
    if constexpr (kept)
      of_block =
          summed
              ? sum_exp_and_logits(buffer, size, holds_target ? place : -1, top, ahead, exps)
              : sum_exp<Purpose::kGradient, T, S>(buffer, round_up(size, lanes), top, ahead, exps);
    else
      of_block = sum_exp<Purpose::kSquares, T, S>(buffer, round_up(size, lanes), top, ahead, exps);
    if (kept) keep.maxima[begin / kBlock] = block;
    if (argmax) {
      if (holds_target) buffer[place] = own;
      const bool bad = of_block.sum != of_block.sum || own != own;
      best.see(buffer, begin, size, holds_target && own > top ? own : top, bad);
    }
    if (summed) {
      const auto others = static_cast<double>(size - (holds_target ? 1 : 0));
      weighted += of_block.below + others * (block - static_cast<double>(reference));
    } else if (weight) {
      if (holds_target) buffer[place] = reference;
      weighted += rows.even ? even_sum(buffer, size, reference)
                            : weighted_sum(buffer, weight + begin, size, reference);
    }
    if (begin == 0) {
      max = block;
    } else if (block > max) {
      sums.scale(::exp(max - block));
      max = block;
    } else if (block > -kInfinity) {
      of_block.scale(::exp(block - max));
    }
    sums.add(of_block);
  }
  batch.target_logit[k] = static_cast<double>(own);
  batch.max[k] = max;
  batch.sum[k] = sums.sum;
  batch.squares[k] = sums.squares;
  batch.weighted[k] = weighted;
  batch.reference[k] = static_cast<double>(reference);
  batch.target_weight[k] = weight ? static_cast<double>(weight[target]) : 0.0;
  if (argmax) *argmax = best.index;
}

template <typename S>
void statistics_of_rows(const Rows& rows, const Statistics& out, int64_t begin, int64_t end) {
  Batch batch;
  for (; begin < end; begin += kBatch) {
    const int64_t size = end - begin < kBatch ? end - begin : kBatch;
    for (int64_t k = 0; k < size; ++k) {
      const int64_t i = begin + k, y = rows.target[i];
      if (y == rows.ignore_index) {
        batch.ignore(k);
        if (out.argmax) out.argmax[i] = 0;
        continue;
      }
      const S* row = static_cast<const S*>(rows.logits) + i * rows.classes;
      reduce_row<false>(rows, row, y, k, batch, out.argmax ? out.argmax + i : nullptr, {});
    }
    finish(rows, batch, out, begin, size);
  }
}

// ---- gradient -----------------------------------------------------------------------------------

template <typename T>
struct RowSlopes {
  T high, factor, c, entry, least;
  bool folded;

  RowSlopes(const BatchSlopes<T>& batch, int64_t k) {
    const double a = static_cast<double>(batch.a[k]), low = static_cast<double>(batch.low[k]);
    high = batch.high[k];
    // |low| is half a unit in L's last place: a few terms of exp(-low) do
    const double undo = ::fabs(low) < 1e-3 ? 1 - low * (1 - low / 2 * (1 - low / 3)) : ::exp(-low);
    factor = static_cast<T>(a * undo);
    c = batch.c[k];
    entry = batch.entry[k];
    folded = batch.folded;
    // what the factor would make subnormal is 0: subnormal numbers are slow
    least = Exp<T>::lowest - static_cast<T>(0.6931472) * static_cast<T>(exponent(a));
  }

 private:
  // floor(log2 |a|) where that is negative, else 0.
  static int64_t exponent(double a) {
    uint64_t bits;
    std::memcpy(&bits, &a, sizeof bits);
    const int64_t e = static_cast<int64_t>((bits >> 52) & 0x7ff) - 1023;
    return e < 0 && e > -1023 ? e : 0;
  }
};

template <typename T, typename S>
inline void gradient_of_block(T* buffer, int64_t padded, const RowSlopes<T>& slopes,
                              Ahead<S> ahead) {
  constexpr int64_t lanes = Lanes<T>::count;
  const T high = slopes.high, factor = slopes.factor;
  if (slopes.folded) {
    for (int64_t j = 0; j < padded; j += lanes)
      store(buffer + j, exp<T>(load(buffer + j) - high) * factor);
    return;
  }
  const Vector<T> least = broadcast(slopes.least);
  for (int64_t j = 0; j < padded; j += lanes) {
    ahead(j);
    store(buffer + j, exp_above<T>(load(buffer + j) - high, least) * factor);
  }
}

template <typename T>
inline void subtract_weights(T* buffer, const T* weight, int64_t size, T c) {
  constexpr int64_t lanes = Lanes<T>::count;
  int64_t j = 0;
  for (; j + lanes <= size; j += lanes) store(buffer + j, load(buffer + j) - load(weight + j) * c);
  for (; j < size; ++j) buffer[j] -= weight[j] * c;
}

template <typename T>
inline void times(T* buffer, const T* factors, int64_t size) {
  for (int64_t j = 0; j < size; j += Lanes<T>::count)
    store(buffer + j, load(buffer + j) * load(factors + j));
}

template <typename S>
inline void gradient_of_row(const Rows& rows, const S* row, int64_t target,
                            const RowSlopes<Compute<S>>& slopes, bool weighted, bool past_caches,
                            S* out) {
  using T = Compute<S>;
  alignas(64) T buffer[kBlock], cap_slopes[kBlock];
  const T* weight = static_cast<const T*>(rows.weight);
  for (int64_t begin = 0; begin < rows.classes; begin += kBlock) {
    const int64_t size = rows.classes - begin < kBlock ? rows.classes - begin : kBlock;
    fill_block(rows, row, begin, size, -1, buffer, cap_slopes);
    gradient_of_block<T, S>(buffer, round_up(size, Lanes<T>::count), slopes, {row + begin + size});
    if (target >= begin && target < begin + size) buffer[target - begin] = slopes.entry;
    if (weighted) subtract_weights(buffer, weight + begin, size, slopes.c);
    if (rows.cap != 0.0) times(buffer, cap_slopes, size);
    emit(buffer, out + begin, size, past_caches);
  }
}

template <typename S>
void gradient_of_rows(const Rows& rows, const Statistics& statistics, const Slopes& slopes,
                      const Gradient& gradient, int64_t begin, int64_t end) {
  BatchSlopes<Compute<S>> batch;
  for (; begin < end; begin += kBatch) {
    const int64_t size = end - begin < kBatch ? end - begin : kBatch;
    batch.take(rows, statistics, slopes, begin, size);
    for (int64_t k = 0; k < size; ++k) {
      const int64_t i = begin + k, y = rows.target[i];
      S* out = static_cast<S*>(gradient.data) + i * rows.classes;
      const S* row = static_cast<const S*>(rows.logits) + i * rows.classes;
      if (y == rows.ignore_index)
        std::memset(static_cast<void*>(out), 0, static_cast<size_t>(rows.classes) * sizeof(S));
      else
        gradient_of_row(rows, row, y, RowSlopes<Compute<S>>(batch, k), slopes.c.data != nullptr,
                        gradient.stream, out);
    }
  }
  if (gradient.stream) fence();
}

}  // namespace
