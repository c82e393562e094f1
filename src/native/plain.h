// A training step of -log p over rows of few classes, a tile at a time: its slopes are the same for
// all rows, so that nothing is known of a row but what its lanes hold, and all arithmetic is of the
// logits' own type.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "tiles.h"

namespace {

// Whether rows weigh the same, and have nothing but their rules.
inline bool is_bare(const Objective& objective) {
  return objective.class_weight == nullptr && objective.sample_weight == nullptr &&
         objective.smoothing == 0 && objective.z_loss == 0;
}

// Whether the loss is -log p alone.
inline bool is_plain(const Objective& objective) {
  return is_bare(objective) && objective.count == 1 && objective.terms->kind == kLogProb &&
         objective.terms->factor == 1;
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
    for (int64_t i = 0; i < at.size; i += kAtOnce * Lanes<T>::count) {
      Vector<T> losses[kAtOnce];
      step(i, target, slope, losses);
      for (const Vector<T>& loss : losses) sum += in_doubles(loss);
    }
    if (gradient.data == nullptr) return reduce_add(sum);
    target.clear_ignored(rows.classes, tile);
    store_tile<S>(rows, at, 0, rows.classes, tile, static_cast<S*>(gradient.data), gradient.stream);
    return reduce_add(sum);
  }

 private:
  // As many rows as there are lanes in so many vectors: their losses; the tile's logits become the
  // gradient. With e relative to the greatest logit and t that less the target's, total = sum e is
  // no less than 1: one logarithm, which cancels nowhere.
  CROSSENTROPY_INLINE void step(int64_t i, const TileTarget<T>& target, Vector<T> slope,
                                Vector<T> (&losses)[kAtOnce]) {
    const Vector<T> zero{}, lowest = broadcast(static_cast<T>(-kInfinity));
    const Vector<T> least = broadcast(Exp<T>::lowest);
    Classes y[kAtOnce];
    Vector<T> max[kAtOnce], z_y[kAtOnce], rest[kAtOnce];
    for (int k = 0; k < kAtOnce; ++k) {
      y[k] = target.at(i + k * Lanes<T>::count);
      max[k] = z_y[k] = lowest;
      rest[k] = zero;
    }
    over_classes(tile, i, rows.classes, Classes{}, [&](int k, Classes c, T* at) {
      const Vector<T> z = load(at);
      z_y[k] = y[k] == c ? z : z_y[k];
      max[k] = larger<T>(max[k], z);
    });
    over_classes(tile, i, rows.classes, Classes{}, [&](int k, Classes c, T* at) {
      const Vector<T> e = exp_above<T>(load(at) - max[k], least);
      store(at, e);
      rest[k] += y[k] == c ? zero : e;
    });
    Vector<T> by[kAtOnce], entry[kAtOnce];
    for (int k = 0; k < kAtOnce; ++k) {
      const Vector<T> t = max[k] - z_y[k];  // NaN where all are masked
      const auto [log_total, inverse] =
          log_and_inverse_of_sum<T>(exp_above<T>(-t, least), rest[k], t <= static_cast<T>(0));
      by[k] = slope * inverse;
      entry[k] = -slope * (rest[k] * inverse);  // 1 - p does not cancel
      losses[k] = y[k] < 0 ? zero : t + log_total;
    }
    if (gradient.data == nullptr) return;
    Vector<T> normal[kAtOnce];
    for (int k = 0; k < kAtOnce; ++k) normal[k] = least_for<T>(by[k]);
    over_classes(tile, i, rows.classes, Classes{}, [&](int k, Classes c, T* at) {
      const Vector<T> g = scaled<T>(load(at), by[k], normal[k]);
      store(at, y[k] == c ? entry[k] : g);
    });
  }
};

}  // namespace
