// What both layouts of the row kernels share: how a logit is read, and how a batch of rows goes
// from sums to statistics. <math.h>, not <cmath>: its functions are no templates or inline
// overloads that a linker could share between levels.
#pragma once

#include <math.h>

#include "element.h"
#include "elementary.h"
#include "kernels.h"

namespace {

constexpr double kInfinity = __builtin_inf();

template <typename T>
inline Vector<T> larger(Vector<T> a, Vector<T> b) {
  return b > a ? b : a;  // a where b is NaN
}

// ---- reading ------------------------------------------------------------------------------------

// What the rule sees of raw logits: cap tanh(z / cap) * scale + bias. A masked class stays masked.
template <typename T>
struct Adjustment {
  T cap, inverse_cap, scale;

  explicit Adjustment(const Rows& rows)
      : cap(static_cast<T>(rows.cap)),
        inverse_cap(static_cast<T>(1 / rows.cap)),
        scale(static_cast<T>(rows.scale)) {}

  Vector<T> operator()(Vector<T> z, Vector<T> bias) const { return z * scale + bias; }

  // With the cap, whose slope at the raw logits goes to `slope`, unless that is null.
  Vector<T> capped(Vector<T> z, Vector<T> bias, T* slope) const {
    const Tanh<T> bounded = tanh<T>(z * inverse_cap);
    if (slope != nullptr) store(slope, bounded.slope);
    return (z == static_cast<T>(-kInfinity) ? z : bounded.value * cap) * scale + bias;
  }
};

inline bool is_adjusted(const Rows& rows) {
  return rows.bias != nullptr || rows.scale != 1.0 || rows.cap != 0.0;
}

// ---- a batch of rows ----------------------------------------------------------------------------

constexpr int64_t kBatch = 64;

// Sums of each row over j != y, on their way to statistics.
struct Batch {
  alignas(64) double target_logit[kBatch];
  alignas(64) double max[kBatch], sum[kBatch];             // of exp(z_j - max)
  alignas(64) double weighted[kBatch], reference[kBatch];  // sum w_j (z_j - reference)
  alignas(64) double target_weight[kBatch];                // w_y
  alignas(64) double squares[kBatch];                      // sum of exp(z_j - max)^2
  alignas(64) double prob_of_max[kBatch];                  // exp(max - L), which finish writes

  // As a certain row: every loss and slope of it is 0.
  void ignore(int64_t k) {
    target_logit[k] = max[k] = sum[k] = weighted[k] = reference[k] = target_weight[k] = 0.0;
    squares[k] = 0.0;
  }
};

// log and inverse of own + rest, where `own` is 1 in the lanes of `first` and the sum is no less
// than 1: what 1 + rest rounds away is put back, to the last digits of a tiny loss.
template <typename T, typename Mask>
CROSSENTROPY_INLINE LogAndInverse<T> log_and_inverse_of_sum(Vector<T> own, Vector<T> rest,
                                                            Mask first) {
  const Vector<T> total = own + rest, zero{};
  const auto [log, inverse] = log_and_inverse<T>(total);
  const Vector<T> lost = first ? (rest - (total - static_cast<T>(1))) * inverse : zero;
  return {log + lost, inverse};
}

// What rows' sums over j != y come to.
template <typename T>
struct Finished {
  Vector<T> lse, log_prob, prob, prob_rest, prob_of_max, top_prob;
};

// With t = max - z_y and e = exp(-|t|), the softmax's denominator relative to its greatest term is
// 1 + sum e where the target is greatest, else sum + e: one logarithm, which cancels nowhere.
template <typename T>
CROSSENTROPY_INLINE Finished<T> finished(Vector<T> target_logit, Vector<T> greatest,
                                         Vector<T> sum) {
  constexpr T infinity = static_cast<T>(kInfinity), nothing = 0;
  const Vector<T> one = broadcast<T>(1), least = broadcast(Exp<T>::lowest);
  // +inf is inf - inf, which the margin would hide
  const Vector<T> z_y = target_logit == infinity ? target_logit - target_logit : target_logit;
  const Vector<T> max = sum == nothing ? z_y : greatest, t = max - z_y;
  const auto first = t <= nothing;
  const Vector<T> e = exp_above<T>(first ? t : -t, least);
  const Vector<T> rest = first ? sum * e : sum, own = first ? one : e;
  const auto [log_total, inverse] = log_and_inverse_of_sum<T>(own, rest, first);
  return {(first ? z_y : max) + log_total,
          first ? -log_total : -log_total - t,
          own * inverse,
          rest * inverse,
          (first ? e : one) * inverse,
          inverse};
}

inline void finish(const Rows& rows, Batch& batch, const Statistics& out, int64_t begin,
                   int64_t size) {
  const Vector<double> zero{};
  for (int64_t k = 0; k < size; k += Lanes<double>::count) {
    const Finished<double> row =
        finished<double>(load(batch.target_logit + k), load(batch.max + k), load(batch.sum + k));
    const int64_t part = size - k, i = begin + k;
    write_lanes(out.lse + i, row.lse, part);
    write_lanes(out.log_prob + i, row.log_prob, part);
    write_lanes(out.prob + i, row.prob, part);
    write_lanes(out.prob_rest + i, row.prob_rest, part);
    store(batch.prob_of_max + k, row.prob_of_max);
    if (out.top_prob) write_lanes(out.top_prob + i, row.top_prob, part);
    if (out.square_rest)
      write_lanes(out.square_rest + i, load(batch.squares + k) * row.prob_of_max * row.prob_of_max,
                  part);
    if (out.weighted_nll == nullptr) continue;
    // -sum w_j log p_j; what has no weight contributes nothing, even at a masked logit
    const Vector<double> w_y = load(batch.target_weight + k), others = rows.weight_total - w_y;
    const Vector<double> relative = others * (row.lse - load(batch.reference + k));
    const Vector<double> of_target = w_y == 0.0 ? zero : w_y * row.log_prob;
    write_lanes(out.weighted_nll + i,
                (others == 0.0 ? zero : relative) - load(batch.weighted + k) - of_target, part);
  }
}

// ---- a batch of slopes --------------------------------------------------------------------------

// Steeper slopes, and their inverses, are kept away from products with exponentials.
constexpr double kSteep = 1e30;

// What the gradients of up to kBatch rows need at the target and by weights, in the input's units:
// `entry` less c * w_y, and c.
template <typename T>
struct TargetSlopes {
  using Numbers = Vector<double>;

  alignas(64) T c[kBatch], entry[kBatch];

  // Of the rows from begin + k on; returns their a.
  Numbers take_lanes(const Rows& rows, const Statistics& statistics, const Slopes& slopes,
                     int64_t begin, int64_t k, int64_t size) {
    const int64_t i = begin + k, part = size - k;
    const Numbers slope = read(slopes.a, i, part) * rows.scale, zero{};
    const Numbers b = read(slopes.b, i, part) * rows.scale;
    const Numbers p = read_lanes(statistics.prob + i, part);
    const Numbers q = read_lanes(statistics.prob_rest + i, part);
    // from 1 - p, never from a p - b, which cancels
    narrow(entry + k, (slope == b ? zero : (slope - b) * p) - b * q);
    if (slopes.c.data != nullptr) narrow(c + k, read(slopes.c, i, part) * rows.scale);
    return slope;
  }

  // Returns the numbers as they are stored.
  static Numbers narrow(T* to, Numbers v) {
    typedef T Narrow __attribute__((vector_size(Lanes<double>::count * sizeof(T))));
    const Narrow stored = __builtin_convertvector(v, Narrow);
    std::memcpy(to, &stored, sizeof stored);
    return __builtin_convertvector(stored, Numbers);
  }

 private:
  static Numbers read(const Coefficient& from, int64_t i, int64_t count) {
    return from.stride == 0 ? broadcast(from.data[0]) : read_lanes(from.data + i, count);
  }
};

// And everywhere else: exp(z - high - low) * a - c * w_j.
template <typename T>
struct BatchSlopes : TargetSlopes<T> {
  using typename TargetSlopes<T>::Numbers;

  alignas(64) T high[kBatch], low[kBatch], a[kBatch];
  bool folded = false;  // whether a slope went into some exponent, which may then exceed 0

  void take(const Rows& rows, const Statistics& statistics, const Slopes& slopes, int64_t begin,
            int64_t size) {
    const Numbers zero{};
    auto extreme = zero != zero;
    for (int64_t k = 0; k < size; k += Lanes<double>::count) {
      const Numbers slope = this->take_lanes(rows, statistics, slopes, begin, k, size);
      // high + low, since at a row offset of 1e4 a float L costs 5e-4 of every probability
      const Numbers lse = read_lanes(statistics.lse + begin + k, size - k);
      const Numbers rest = lse - this->narrow(high + k, lse);
      this->narrow(low + k, rest == rest ? rest : zero);  // inf - inf where L is infinite
      this->narrow(a + k, slope);
      extreme |= is_extreme(magnitude<double>(slope));
    }
    folded = false;
    for (int64_t k = 0; k < Lanes<double>::count; ++k) folded |= extreme[k] != 0;
    if (folded) fold(rows, statistics, slopes, begin, size);
  }

 private:
  // Of a number, or of lanes of them.
  template <typename Size>
  static auto is_extreme(Size size) {
    return (size > kSteep) | ((size < 1 / kSteep) & (size > 0.0));
  }
  // A huge or tiny slope goes into the exponent, so that inf * 0 never arises.
  void fold(const Rows& rows, const Statistics& statistics, const Slopes& slopes, int64_t begin,
            int64_t size) {
    for (int64_t k = 0; k < size; ++k) {
      const double slope = slopes.a[begin + k] * rows.scale, steepness = ::fabs(slope);
      if (!is_extreme(steepness)) continue;
      const double lse = statistics.lse[begin + k] - ::log(steepness);
      high[k] = static_cast<T>(lse);
      const double rest = lse - static_cast<double>(high[k]);
      low[k] = static_cast<T>(rest == rest ? rest : 0.0);
      a[k] = slope < 0 ? static_cast<T>(-1) : static_cast<T>(1);
    }
  }
};

// e * factor; what it would make subnormal is 0, since subnormal numbers are slow.
template <typename T>
inline Vector<T> scaled(Vector<T> e, Vector<T> factor, Vector<T> least) {
  const Vector<T> zero{};
  return e < least ? zero : e * factor;
}

template <typename T>
inline Vector<T> least_for(Vector<T> factor) {
  const Vector<T> normal = broadcast(static_cast<T>(sizeof(T) == 4 ? 0x1p-126 : 0x1p-1022));
  return normal / magnitude<T>(factor);
}

}  // namespace
