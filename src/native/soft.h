// Rows whose target is a distribution over the classes: probabilities, or the softmax of a
// teacher's logits. Loss and gradient of a row in one go: logits and target come from memory once,
// and what both parts need, exp(z - max) and the target's weights, stays in the cache.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "kept.h"
#include "scratch.h"

namespace {

// w_j of a row, its sum, and what it adds to the loss: sum_j w_j log w_j for a teacher, else 0.
struct SoftWeights {
  double sum = 0.0, mass = 0.0, negative_entropy = 0.0;
};

// A row's logits: log L = max + log1p(rest) with the max itself left out of `rest`, so that a tiny
// loss keeps its digits; dot is sum_j w_j (z_j - max).
struct SoftSums {
  double max = -kInfinity, of_max = 0.0, rest = 0.0, dot = 0.0, seen = 0.0;

  // A block with its own max: how often it occurs, the sum of the other exponentials, and of w.
  void add(double block_max, double of_block_max, double others, double block_dot, double weight) {
    if (block_max > max) {
      const double down = max == -kInfinity ? 0.0 : ::exp(max - block_max);
      rest = (rest + of_max) * down;
      if (seen != 0) dot += seen * (max - block_max);
      max = block_max;
      of_max = 0.0;
    }
    const double down = block_max == max ? 1.0 : ::exp(block_max - max);
    if (block_max == max) {
      of_max += of_block_max;
      rest += others;
    } else {
      rest += (of_block_max + others) * down;
    }
    dot += block_dot;
    if (weight != 0 && block_max != max) dot += weight * (block_max - max);
    seen += weight;
  }
};

template <typename S>
struct SoftRow {
  using T = Compute<S>;
  static constexpr int64_t lanes = Lanes<T>::count;

  const Rows& rows;
  const SoftTarget& target;
  T *exps, *weights, *cap_slopes;  // (classes,), padded; the last is null where there is no cap
  double* maxima;                  // (blocks,)

  static int64_t bytes(const Rows& rows) {
    const int64_t padded = round_up(rows.classes, 64), blocks = rows.classes / kBlock + 1;
    return (rows.cap == 0.0 ? 2 : 3) * padded * static_cast<int64_t>(sizeof(T)) +
           blocks * static_cast<int64_t>(sizeof(double));
  }
  SoftRow(const Rows& rows, const SoftTarget& target, void* scratch)
      : rows(rows), target(target), exps(static_cast<T*>(scratch)) {
    const int64_t padded = round_up(rows.classes, 64);
    weights = exps + padded;
    cap_slopes = rows.cap == 0.0 ? nullptr : weights + padded;
    maxima = reinterpret_cast<double*>((cap_slopes ? cap_slopes : weights) + padded);
  }

  // The loss of row i; its gradient times `factor` goes to `out`, unless that is null.
  double run(int64_t i, double factor, bool past_caches, S* out) {
    const S* of_target = static_cast<const S*>(target.data) + i * rows.classes;
    const SoftWeights w = target.is_teacher ? read_teacher(of_target) : read_probs(of_target);
    const S* row = static_cast<const S*>(rows.logits) + i * rows.classes;
    const SoftSums sums = read_logits(row);
    const double rest = sums.of_max - 1 + sums.rest, log_total = ::log1p(rest);
    const bool finite = sums.max < kInfinity && sums.max > -kInfinity;
    const double lse = finite ? sums.max + log_total : sums.max - sums.max;
    const double z_loss = target.z_loss == 0 ? 0.0 : target.z_loss * w.mass;
    double loss = w.negative_entropy - sums.dot + (lse - lse);  // NaN where lse is no number
    if (w.sum != 0) loss += w.sum * log_total;
    if (z_loss != 0) loss += z_loss * lse * lse;
    if (out == nullptr) return loss;
    const double pull = w.sum + 2 * z_loss * lse;
    const Certain top = {sums.max, sums.of_max, rest / (1 + rest)};
    emit_gradient(pull, w.sum, lse, top, factor * rows.scale, past_caches, out);
    return loss;
  }

  // sum_j class_weight_j t_j of row i
  double mass(int64_t i) {
    return read_probs(static_cast<const S*>(target.data) + i * rows.classes).mass;
  }

 private:
  // The greatest logit, how often it occurs, and one minus its probability.
  struct Certain {
    double max, count, prob_rest;
  };

  // w_j = class_weight_j (keep t_j + spread prior_j)
  SoftWeights read_probs(const S* from) {
    const T keep = static_cast<T>(target.keep), spread = static_cast<T>(target.spread);
    const T* by_class = static_cast<const T*>(target.class_weight);
    const T* prior = static_cast<const T*>(target.prior);
    SoftWeights result;
    for (int64_t begin = 0; begin < rows.classes; begin += kBlock) {
      const int64_t end = begin + kBlock < rows.classes ? begin + kBlock : rows.classes;
      Vector<T> sum{}, mass{};
      for (int64_t j = begin; j < end; j += lanes) {
        const int64_t count = end - j;
        __builtin_prefetch(from + j + kBlock / 2);
        Vector<T> t = read_lanes(from + j, count), share = broadcast(spread);
        if (prior != nullptr) share *= read_lanes(prior + j, count);
        Vector<T> w = t * keep + share;
        if (by_class != nullptr) {
          const Vector<T> weight = read_lanes(by_class + j, count);
          w *= weight;
          t *= weight;
        }
        if (count < lanes) w = first_lanes_of<T>(w, count);
        store(weights + j, w);
        sum += w;
        mass += t;
      }
      result.sum += reduce_add(sum);
      result.mass += reduce_add(mass);
    }
    return result;
  }

  // w = softmax(v / T), and sum_j w_j log w_j = sum_j w_j (v_j - max) - log sum_j exp(v_j - max)
  SoftWeights read_teacher(const S* from) {
    const T scale = static_cast<T>(target.teacher_scale), lowest = static_cast<T>(-kInfinity);
    Vector<T> most = broadcast(lowest);
    for (int64_t j = 0; j < rows.classes; j += lanes) {
      __builtin_prefetch(from + j + kBlock / 2);
      const Vector<T> v = read_lanes(from + j, rows.classes - j, lowest) * scale;
      store(weights + j, v);
      most = larger<T>(most, v);
    }
    const T max = reduce_max<T>(most);
    double total = 0.0, dot = 0.0;
    for (int64_t begin = 0; begin < rows.classes; begin += kBlock) {
      const int64_t end = begin + kBlock < rows.classes ? begin + kBlock : rows.classes;
      Vector<T> sum{}, product{};
      for (int64_t j = begin; j < end; j += lanes) {
        const Vector<T> below = load(weights + j) - max, zero{};
        const Vector<T> e = exp_above<T>(below, broadcast(Exp<T>::lowest));
        store(weights + j, e);
        sum += e;
        product += e == static_cast<T>(0) ? zero : e * below;
      }
      total += reduce_add(sum);
      dot += reduce_add(product);
    }
    const T inverse = static_cast<T>(1 / total);
    for (int64_t j = 0; j < rows.classes; j += lanes)
      store(weights + j, load(weights + j) * inverse);
    return {1.0, 1.0, dot / total - ::log(total)};
  }

  SoftSums read_logits(const S* row) {
    alignas(64) T buffer[kBlock];
    SoftSums sums;
    for (int64_t begin = 0; begin < rows.classes; begin += kBlock) {
      const int64_t size = rows.classes - begin < kBlock ? rows.classes - begin : kBlock;
      const T max =
          fill_block(rows, row, begin, size, -1, buffer, cap_slopes ? cap_slopes + begin : nullptr);
      maxima[begin / kBlock] = static_cast<double>(max);
      reduce_block(buffer, begin, size, max, {row + begin + size}, sums);
    }
    return sums;
  }

  void reduce_block(const T* buffer, int64_t begin, int64_t size, T max, Ahead<S> ahead,
                    SoftSums& sums) {
    const T shift = max == static_cast<T>(-kInfinity) ? 0 : max;
    const Vector<T> zero{}, one = broadcast(static_cast<T>(1)), least = broadcast(Exp<T>::lowest);
    Vector<T> at_max{}, others{}, dot{}, weight{};
    for (int64_t j = 0; j < size; j += lanes) {
      ahead(j);
      const Vector<T> below = load(buffer + j) - shift, w = load(weights + begin + j);
      const Vector<T> e = exp_above<T>(below, least);
      store(exps + begin + j, e);
      const auto is_max = below == static_cast<T>(0);
      at_max += is_max ? one : zero;
      others += is_max ? zero : e;
      dot += w == static_cast<T>(0) ? zero : w * below;  // no mass, no loss, even at -inf
      weight += w;
    }
    sums.add(static_cast<double>(max), reduce_add(at_max), reduce_add(others), reduce_add(dot),
             reduce_add(weight));
  }

  // factor (pull p_j - w_j); of the one greatest logit by 1 - p, which does not cancel.
  void emit_gradient(double pull, double sum, double lse, Certain top, double factor,
                     bool past_caches, S* out) {
    const T push = static_cast<T>(factor);
    for (int64_t begin = 0; begin < rows.classes; begin += kBlock) {
      const int64_t size = rows.classes - begin < kBlock ? rows.classes - begin : kBlock;
      const double max = maxima[begin / kBlock];
      // of masked logits 0, unless the row is NaN
      const double share = max == -kInfinity ? lse - lse : pull * factor * ::exp(max - lse);
      const bool finite = factor - factor == 0;  // else all of it is NaN
      const bool patched = finite && max == top.max && top.count == 1 && top.prob_rest < 0.1;
      const int64_t place = patched ? first_one(exps + begin, size) : size;
      const T *block = exps + begin, *own = weights + begin;
      T entry = 0;
      if (place < size) {
        const double excess = pull - sum, w = static_cast<double>(own[place]);
        const double of_max = excess * (1 - top.prob_rest) + (sum - w) - sum * top.prob_rest;
        entry = static_cast<T>(of_max * factor);
      }
      const Vector<T> by = broadcast(static_cast<T>(share)), least = least_for<T>(by);
      const auto value = [&](int64_t j, int64_t count) {
        return scaled<T>(read_lanes(block + j, count), by, least) -
               read_lanes(own + j, count) * push;
      };
      if (cap_slopes == nullptr) {
        write_block(out + begin, size, past_caches, place, entry, value);
        continue;
      }
      const T* slopes = cap_slopes + begin;
      if (place < size) entry *= slopes[place];
      const auto capped = [&](int64_t j, int64_t count) {
        return value(j, count) * read_lanes(slopes + j, count);
      };
      write_block(out + begin, size, past_caches, place, entry, capped);
    }
  }

  static int64_t first_one(const T* e, int64_t size) {
    constexpr int64_t many = 8 * lanes;
    int64_t j = 0;
    for (; j + many <= size; j += many) {
      Vector<T> most = load(e + j);
      for (int64_t k = lanes; k < many; k += lanes) most = larger<T>(most, load(e + j + k));
      if (reduce_max<T>(most) == 1) break;
    }
    for (; j < size; ++j)
      if (e[j] == 1) return j;
    return size;
  }
};

// The losses of rows [begin, end), and their gradient times the factor and the rows' own. False
// where there was no memory for a row.
template <typename S>
bool soft(const Rows& rows, const SoftTarget& target, double factor, const Gradient& gradient,
          int64_t begin, int64_t end, double* losses) {
  const Scratch scratch(SoftRow<S>::bytes(rows));
  if (scratch.data == nullptr) return false;
  SoftRow<S> row(rows, target, scratch.data);
  for (int64_t i = begin; i < end; ++i) {
    S* out = gradient.data ? static_cast<S*>(gradient.data) + i * rows.classes : nullptr;
    if (target.mask != nullptr && target.mask[i] == 0) {
      losses[i] = 0.0;
      if (out)
        std::memset(static_cast<void*>(out), 0, static_cast<size_t>(rows.classes) * sizeof(S));
      continue;
    }
    const double own = target.row_factor == nullptr ? 1.0 : target.row_factor[i];
    losses[i] = row.run(i, factor * own, gradient.stream, out);
  }
  if (gradient.stream) fence();
  return true;
}

// sum_j class_weight_j t_j of rows [begin, end), 0 of masked ones. False where there was no memory.
template <typename S>
bool soft_mass(const Rows& rows, const SoftTarget& target, int64_t begin, int64_t end,
               double* masses) {
  const Scratch scratch(SoftRow<S>::bytes(rows));
  if (scratch.data == nullptr) return false;
  SoftRow<S> row(rows, target, scratch.data);
  for (int64_t i = begin; i < end; ++i) {
    const bool masked = target.mask != nullptr && target.mask[i] == 0;
    masses[i] = masked ? 0.0 : row.mass(i);
  }
  return true;
}

}  // namespace
