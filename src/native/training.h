// The whole training loss of a small batch in one call: statistics, the scalar rule of cross
// entropy with torch's options, and the gradient. What it computes is what the passes compute
// with the rule in array code between them; it saves the calls.
#pragma once

#include <memory>

#include "kernels.h"

// sum or mean over rows of w_y ((1 - smoothing) (-log p) + z_loss lse^2)
//                          + smoothing / C sum_j w_j (-log p_j), w = Rows::weight or ones.
struct Training {
  double smoothing, z_loss;
  bool mean;  // divide by the weights' sum
};

// Over all rows that count.
struct Totals {
  double loss = 0.0, weight = 0.0;
};

inline double class_weight(const Rows& rows, Type type, int64_t y) {
  if (rows.weight == nullptr) return 1.0;
  return type == kFloat64 ? static_cast<const double*>(rows.weight)[y]
                          : static_cast<double>(static_cast<const float*>(rows.weight)[y]);
}

// Writes the slopes of every row, undivided; c is the same for all.
inline Totals apply_rule(const Rows& rows, Type type, const Training& training,
                         const Statistics& given, double* a, double* b) {
  Totals totals;
  const double share = training.smoothing / static_cast<double>(rows.classes);
  for (int64_t i = 0; i < rows.count(); ++i) {
    a[i] = b[i] = 0.0;
    if (rows.target[i] == rows.ignore_index) continue;
    const double weight = class_weight(rows, type, rows.target[i]), lse = given.lse[i];
    totals.weight += weight;
    a[i] = b[i] = weight * (1 - training.smoothing);
    if (b[i] != 0) totals.loss -= b[i] * given.log_prob[i];  // a weight of 0 silences even inf
    if (training.z_loss != 0 && weight != 0) {
      totals.loss += weight * training.z_loss * lse * lse;
      a[i] += 2 * weight * training.z_loss * lse;
    }
    if (share != 0) {
      totals.loss += share * given.weighted_nll[i];
      a[i] += share * rows.weight_total;
    }
  }
  return totals;
}

// The loss; the gradient goes to `out` unless that is null. It holds 7 numbers a row meanwhile.
inline double evaluate(const Kernels& kernels, Type type, const Rows& rows,
                       const Training& training, void* out) {
  const int64_t n = rows.count();
  const std::unique_ptr<double[]> table(new double[static_cast<size_t>(7 * n)]);
  double* at = table.get();
  const bool smoothed = training.smoothing != 0;
  const Statistics given = {at,     at + n, at + 2 * n, at + 3 * n, smoothed ? at + 4 * n : nullptr,
                            nullptr};
  kernels.statistics[type](rows, given, 0, n);
  double *a = at + 5 * n, *b = at + 6 * n;
  const Totals totals = apply_rule(rows, type, training, given, a, b);
  const double divisor = training.mean ? totals.weight : 1.0;
  if (out != nullptr) {
    for (int64_t i = 0; i < n; ++i) a[i] /= divisor;
    for (int64_t i = 0; i < n; ++i) b[i] /= divisor;
    const double c = training.smoothing / static_cast<double>(rows.classes) / divisor;
    const Slopes slopes = {{a, 1}, {b, 1}, {smoothed ? &c : nullptr, 0}};
    kernels.gradient[type](rows, given, slopes, {out, false}, 0, n);
  }
  return totals.loss / divisor;
}
