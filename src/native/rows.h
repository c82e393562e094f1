// The two row kernels: statistics of a row of logits, and its gradient.
//
// A row is read in blocks that stay in the first-level cache. A block is copied to a buffer as the
// rule sees it (temperature and bias applied, the tail padded), so that every later pass over it is
// one plain loop whatever the row's length, target or options. Rows with C <= kBlock are read from
// memory once.
//
// Included by level.cpp only; see vector.h for why everything is static. <math.h>, not <cmath>: its
// functions are no templates or inline overloads that a linker could share between levels.
#pragma once

#include <math.h>

#include "kernels.h"
#include "vector.h"

namespace {

constexpr int64_t kBlock = 2048;

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// The logits of one row as the rule sees them: z * scale + bias.
template <typename T, bool Adjusted>
struct Row {
  const T* logits;
  const T* bias;
  double scale;

  Vector<T> at(int64_t j) const {
    Vector<T> z = load(logits + j);
    if constexpr (Adjusted) z = z * static_cast<T>(scale) + load(bias + j);
    return z;
  }
  // Lanes from `count` on are -inf.
  Vector<T> tail(int64_t j, int64_t count) const {
    constexpr T lowest = static_cast<T>(-__builtin_inf());
    Vector<T> z = load_part(logits + j, count, lowest);
    if constexpr (Adjusted)
      z = z * static_cast<T>(scale) + load_part(bias + j, count, static_cast<T>(0));
    return z;
  }
  double scalar(int64_t j) const {
    double z = static_cast<double>(logits[j]);
    if constexpr (Adjusted) z = z * scale + static_cast<double>(bias[j]);
    return z;
  }
};

template <typename T, bool Adjusted>
inline Row<T, Adjusted> row_of(const Rows& rows, int64_t i) {
  return {static_cast<const T*>(rows.logits) + i * rows.classes, static_cast<const T*>(rows.bias),
          rows.scale};
}

// ---- statistics ---------------------------------------------------------------------------------

template <typename T, bool Adjusted>
inline void fill_block(const Row<T, Adjusted>& row, int64_t begin, int64_t size, T* buffer) {
  constexpr int64_t lanes = Lanes<T>::count;
  int64_t j = 0;
  for (; j + lanes <= size; j += lanes) store(buffer + j, row.at(begin + j));
  if (j < size) store(buffer + j, row.tail(begin + j, size - j));
}

template <typename T>
inline Vector<T> larger(Vector<T> a, Vector<T> b) {
  return b > a ? b : a;
}

// NaN never wins a comparison, so it is left to sum_exp to carry it.
template <typename T>
inline T block_max(const T* buffer, int64_t padded) {
  constexpr int64_t lanes = Lanes<T>::count;
  const Vector<T> lowest = broadcast<T>(static_cast<T>(-__builtin_inf()));
  Vector<T> m0 = lowest, m1 = lowest, m2 = lowest, m3 = lowest;
  int64_t j = 0;
  for (; j + 4 * lanes <= padded; j += 4 * lanes) {
    m0 = larger<T>(m0, load(buffer + j));
    m1 = larger<T>(m1, load(buffer + j + lanes));
    m2 = larger<T>(m2, load(buffer + j + 2 * lanes));
    m3 = larger<T>(m3, load(buffer + j + 3 * lanes));
  }
  for (; j < padded; j += lanes) m0 = larger<T>(m0, load(buffer + j));
  return reduce_max<T>(larger<T>(larger<T>(m0, m1), larger<T>(m2, m3)));
}

template <typename T>
inline double sum_exp(const T* buffer, int64_t padded, T shift) {
  constexpr int64_t lanes = Lanes<T>::count;
  Vector<T> s0{}, s1{}, s2{}, s3{};
  int64_t j = 0;
  for (; j + 4 * lanes <= padded; j += 4 * lanes) {
    s0 += exp<T>(load(buffer + j) - shift);
    s1 += exp<T>(load(buffer + j + lanes) - shift);
    s2 += exp<T>(load(buffer + j + 2 * lanes) - shift);
    s3 += exp<T>(load(buffer + j + 3 * lanes) - shift);
  }
  for (; j < padded; j += lanes) s0 += exp<T>(load(buffer + j) - shift);
  return reduce_add((s0 + s1) + (s2 + s3));
}

// sum_j w_j (z_j - reference); w_j = 0 contributes nothing, even at z_j = -inf.
template <typename T>
inline double weighted_sum(const T* buffer, const T* weight, int64_t size, T reference) {
  constexpr int64_t lanes = Lanes<T>::count;
  Vector<T> s{};
  for (int64_t j = 0; j < size; j += lanes) {
    const int64_t part = size - j < lanes ? size - j : lanes;
    const Vector<T> w =
        part == lanes ? load(weight + j) : load_part(weight + j, part, static_cast<T>(0));
    const Vector<T> product = w * (load(buffer + j) - reference);
    s += w == static_cast<T>(0) ? Vector<T>{} : product;
  }
  return reduce_add(s);
}

struct Reduction {
  double max, sum;        // of exp(z_j - max) over j != y
  double weighted = 0.0;  // sum over j != y of w_j (z_j - reference)
  double reference = 0.0;
};

// One pass over the row, the target left out. A block whose maximum is -inf is masked logits, or
// hides a NaN: shifted by 0 its sum is 0, or NaN.
template <typename T, bool Adjusted, bool Weighted>
inline Reduction reduce_row(const Row<T, Adjusted>& row, const T* weight, int64_t classes,
                            int64_t target) {
  alignas(64) T buffer[kBlock];
  constexpr double lowest = -__builtin_inf();
  double max = lowest, sum = 0.0;
  Reduction result{lowest, 0.0};
  for (int64_t begin = 0; begin < classes; begin += kBlock) {
    const int64_t size = classes - begin < kBlock ? classes - begin : kBlock;
    const int64_t padded = round_up(size, Lanes<T>::count);
    fill_block(row, begin, size, buffer);
    const bool holds_target = target >= begin && target < begin + size;
    if (holds_target) buffer[target - begin] = static_cast<T>(lowest);
    const double block = static_cast<double>(block_max(buffer, padded));
    const T shift = static_cast<T>(block == lowest ? 0.0 : block);
    if constexpr (Weighted) {
      if (begin == 0) result.reference = static_cast<double>(shift);
      const T reference = static_cast<T>(result.reference);
      if (holds_target) buffer[target - begin] = reference;
      result.weighted += weighted_sum(buffer, weight + begin, size, reference);
      if (holds_target) buffer[target - begin] = static_cast<T>(lowest);
    }
    const double block_sum = sum_exp(buffer, padded, shift);
    if (begin == 0) {
      sum = block_sum;
      max = block;
    } else if (block > max) {
      sum = sum * ::exp(max - block) + block_sum;
      max = block;
    } else {
      sum += block == lowest ? block_sum : block_sum * ::exp(block - max);
    }
  }
  result.max = max == lowest ? 0.0 : max;
  result.sum = sum;
  return result;
}

// A batch of rows on their way from reductions to statistics, finished a vector at a time.
constexpr int64_t kBatch = 64;

struct Batch {
  alignas(64) double target_logit[kBatch], max[kBatch], sum[kBatch], weighted[kBatch],
      reference[kBatch];
};

inline void put(double* to, Vector<double> v, int64_t count) {
  if (count == Lanes<double>::count)
    store(to, v);
  else
    store_part(to, v, count);
}

// With t = max - z_y and e = exp(-|t|), the softmax's denominator relative to its greatest term is
// 1 + sum e where the target is greatest, else sum + e: one logarithm, which cancels nowhere.
inline void finish_batch(const Batch& batch, const Statistics& out, int64_t begin, int64_t size) {
  constexpr int64_t lanes = Lanes<double>::count;
  for (int64_t k = 0; k < size; k += lanes) {
    const int64_t part = size - k < lanes ? size - k : lanes;
    const Vector<double> z_y = load(batch.target_logit + k), sum = load(batch.sum + k);
    const Vector<double> max = sum == 0.0 ? z_y : load(batch.max + k), t = max - z_y;
    const auto first = t <= 0.0;
    const Vector<double> one = broadcast(1.0), e = exp<double>(first ? t : -t);
    const Vector<double> rest = first ? sum * e : sum, own = first ? one : e;
    const Vector<double> total = own + rest, inverse = 1.0 / total;
    // what 1 + rest rounds away is put back, to the last digits of a tiny loss
    const Vector<double> lost = first ? (rest - (total - 1.0)) * inverse : Vector<double>{};
    const Vector<double> log_total = log(total) + lost;
    put(out.lse + begin + k, (first ? z_y : max) + log_total, part);
    put(out.log_prob + begin + k, first ? -log_total : -log_total - t, part);
    put(out.prob + begin + k, own * inverse, part);
    put(out.prob_rest + begin + k, rest * inverse, part);
  }
}

// -sum_j w_j log p_j, from the sum over j != y relative to the row's reference.
template <typename T>
inline void finish_weighted(const Rows& rows, const Batch& batch, const Statistics& out,
                            int64_t begin, int64_t size) {
  const T* weight = static_cast<const T*>(rows.weight);
  for (int64_t k = 0; k < size; ++k) {
    const int64_t i = begin + k, y = rows.target[i];
    if (y == rows.ignore_index) {
      out.weighted_nll[i] = 0.0;
      continue;
    }
    const double w_y = static_cast<double>(weight[y]), rest = rows.weight_total - w_y;
    out.weighted_nll[i] = (rest == 0 ? 0.0 : rest * (out.lse[i] - batch.reference[k])) -
                          batch.weighted[k] - (w_y == 0 ? 0.0 : w_y * out.log_prob[i]);
  }
}

template <typename T, bool Adjusted, bool Weighted>
void statistics_of_rows(const Rows& rows, const Statistics& out, int64_t begin, int64_t end) {
  const T* weight = static_cast<const T*>(rows.weight);
  Batch batch{};
  for (; begin < end; begin += kBatch) {
    const int64_t size = end - begin < kBatch ? end - begin : kBatch;
    for (int64_t k = 0; k < size; ++k) {
      const int64_t y = rows.target[begin + k];
      if (y == rows.ignore_index) {  // as a certain row: every loss and slope of it is 0
        batch.target_logit[k] = batch.max[k] = batch.sum[k] = 0.0;
        continue;
      }
      const auto row = row_of<T, Adjusted>(rows, begin + k);
      const Reduction r = reduce_row<T, Adjusted, Weighted>(row, weight, rows.classes, y);
      const double z_y = row.scalar(y);
      // +inf is inf - inf, which the margin would hide
      batch.target_logit[k] = z_y == __builtin_inf() ? __builtin_nan("") : z_y;
      batch.max[k] = r.max;
      batch.sum[k] = r.sum;
      batch.weighted[k] = r.weighted;
      batch.reference[k] = r.reference;
    }
    finish_batch(batch, out, begin, size);
    if constexpr (Weighted) finish_weighted<T>(rows, batch, out, begin, size);
  }
}

// ---- gradient -----------------------------------------------------------------------------------

template <typename T, bool Adjusted, bool Weighted>
inline void gradient_of_row(const Row<T, Adjusted>& row, const T* weight, int64_t classes,
                            double lse, double a, double c, T* out) {
  constexpr int64_t lanes = Lanes<T>::count;
  // A huge or tiny slope goes into the exponent, so that inf * 0 never arises.
  const double size = ::fabs(a);
  if (size > 1e30 || (size < 1e-30 && size > 0)) {
    lse -= ::log(size);
    a = a < 0 ? -1.0 : 1.0;
  }
  // lse = high + low, since at a row offset of 1e4 a float lse costs 5e-4 of every probability.
  const T high = static_cast<T>(lse), factor = static_cast<T>(a), push = static_cast<T>(c);
  const double rest = lse - static_cast<double>(high);
  const T low = static_cast<T>(rest == rest ? rest : 0.0);  // inf - inf where lse is infinite
  int64_t j = 0;
  for (; j + lanes <= classes; j += lanes) {
    Vector<T> g = exp<T>((row.at(j) - high) - low) * factor;
    if constexpr (Weighted) g -= load(weight + j) * push;
    store(out + j, g);
  }
  if (j < classes) {
    Vector<T> g = exp<T>((row.tail(j, classes - j) - high) - low) * factor;
    if constexpr (Weighted) g -= load_part(weight + j, classes - j, static_cast<T>(0)) * push;
    store_part(out + j, g, classes - j);
  }
}

template <typename T, bool Adjusted, bool Weighted>
void gradient_of_rows(const Rows& rows, const Statistics& statistics, const Slopes& slopes,
                      void* out, int64_t begin, int64_t end) {
  const T* weight = static_cast<const T*>(rows.weight);
  for (int64_t i = begin; i < end; ++i) {
    T* gradient = static_cast<T*>(out) + i * rows.classes;
    const int64_t y = rows.target[i];
    if (y == rows.ignore_index) {
      std::memset(gradient, 0, static_cast<size_t>(rows.classes) * sizeof(T));
      continue;
    }
    // z = input / temperature, and the gradient is the input's
    const double a = slopes.a[i] * rows.scale, b = slopes.b[i] * rows.scale;
    const double c = Weighted ? slopes.c[i] * rows.scale : 0.0;
    gradient_of_row<T, Adjusted, Weighted>(row_of<T, Adjusted>(rows, i), weight, rows.classes,
                                           statistics.lse[i], a, c, gradient);
    // The target's entry from 1 - p, never from a p - b, which cancels.
    double entry = -b * statistics.prob_rest[i] + (a == b ? 0.0 : (a - b) * statistics.prob[i]);
    if constexpr (Weighted) entry -= c * static_cast<double>(weight[y]);
    gradient[y] = static_cast<T>(entry);
  }
}

}  // namespace
