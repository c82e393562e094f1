// A training step of -log p over rows of few classes, a tile at a time: its slopes are the same for
// all rows, so that nothing is known of a row but what its lanes hold, and all arithmetic is of the
// logits' own type.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "tiles.h"

namespace {

// Whether the loss is -log p alone.
inline bool is_plain(const Objective& objective) {
  return objective.count == 1 && objective.terms->kind == kLogProb &&
         objective.terms->factor == 1 && objective.class_weight == nullptr &&
         objective.sample_weight == nullptr && objective.smoothing == 0 && objective.z_loss == 0;
}

template <typename S>
struct PlainTile {
  using T = Compute<S>;
  using Classes = typename Lanes<T>::Bits;

  const Rows& rows;
  double factor;
  const Gradient& gradient;
  alignas(64) Tile<T> tile;

  // Of slopes that are modest, and of all classes at once.
  static bool serves(const Rows& rows, const Objective& objective, double factor) {
    return is_plain(objective) && rows.classes <= kTileClasses && rows.cap == 0.0 &&
           rows.weight == nullptr && ::fabs(factor * rows.scale) <= kSteep;
  }

  PlainTile(const Rows& rows, double factor, const Gradient& gradient)
      : rows(rows), factor(factor), gradient(gradient) {}

  // The sum of the losses of the rows `at`; their gradient times the factor goes to gradient.data,
  // unless that is null.
  double run(const TileRows& at) {
    const TileTarget<T> target(rows, at);
    load_tile<S>(rows, at, 0, rows.classes, tile);
    adjust_tile<T>(rows, at, 0, rows.classes, tile);
    const Vector<T> slope = broadcast(static_cast<T>(factor * rows.scale));
    Vector<double> sum{};
    for (int64_t i = 0; i < at.size; i += Lanes<T>::count)
      sum += in_doubles(step(i, target.at(i), slope));
    if (gradient.data == nullptr) return reduce_add(sum);
    target.clear_ignored(rows.classes, tile);
    store_tile<S>(rows, at, 0, rows.classes, tile, static_cast<S*>(gradient.data), gradient.stream);
    return reduce_add(sum);
  }

 private:
  // As many rows as there are lanes: their losses; the tile's logits become the gradient. With e
  // relative to the greatest logit and t that less the target's, total = sum e is no less than 1:
  // one logarithm, which cancels nowhere.
  Vector<T> step(int64_t i, Classes target, Vector<T> slope) {
    const Vector<T> zero{}, lowest = broadcast(static_cast<T>(-kInfinity));
    Vector<T> max = lowest, z_y = lowest;
    Classes c_of{};
    const T* from = &tile[0][i];
    for (int64_t left = rows.classes; left > 0; --left, c_of += 1, from += kBatch) {
      const Vector<T> z = load(from);
      z_y = target == c_of ? z : z_y;
      max = larger<T>(max, z);
    }
    const Vector<T> t = max - z_y;  // NaN where all are masked
    const Vector<T> rest = sum_exp_of_others(i, target, max);
    const Vector<T> own = exp_above<T>(-t, broadcast(Exp<T>::lowest));
    const auto [log_total, inverse] = log_and_inverse_of_sum<T>(own, rest, t <= static_cast<T>(0));
    if (gradient.data != nullptr)
      scale(i, target, slope * inverse, -slope * (rest * inverse));  // 1 - p does not cancel
    return target < 0 ? zero : t + log_total;
  }

  // sum_{j != y} e^(z_j - max), whose terms take the logits' places.
  Vector<T> sum_exp_of_others(int64_t i, Classes target, Vector<T> max) {
    const Vector<T> zero{}, least = broadcast(Exp<T>::lowest);
    Vector<T> sum{};
    Classes c_of{};
    T* at = &tile[0][i];
    for (int64_t left = rows.classes; left > 0; --left, c_of += 1, at += kBatch) {
      const Vector<T> e = exp_above<T>(load(at) - max, least);
      store(at, e);
      sum += target == c_of ? zero : e;
    }
    return sum;
  }

  void scale(int64_t i, Classes target, Vector<T> by, Vector<T> entry) {
    const Vector<T> least = least_for<T>(by);
    Classes c_of{};
    T* at = &tile[0][i];
    for (int64_t left = rows.classes; left > 0; --left, c_of += 1, at += kBatch) {
      const Vector<T> g = scaled<T>(load(at), by, least);
      store(at, target == c_of ? entry : g);
    }
  }
};

}  // namespace
