// The training loss over all rows: what a mean divides by, and the rows chunk by chunk over
// threads.
#pragma once

#include <vector>

#include "kernels.h"
#include "parallel.h"

// What the sum of the losses is multiplied by.
struct Reduction {
  bool mean;
  double normalizer;   // what a mean divides by; NaN for the weights' sum
  bool empty_is_zero;  // whether a mean over nothing is 0
};

// The sum of the rows' weights; `counted` is the number of rows that are not ignored.
inline double total_weight(const Rows& rows, const Objective& objective, int64_t counted) {
  const double *by_class = objective.class_weight, *own = objective.sample_weight;
  if (by_class == nullptr && own == nullptr) return static_cast<double>(counted);
  double sum = 0.0;
  for (int64_t i = 0; i < rows.count(); ++i) {
    const int64_t y = rows.target[i];
    if (y == rows.ignore_index) continue;
    sum += (by_class == nullptr ? 1.0 : by_class[y]) * (own == nullptr ? 1.0 : own[i]);
  }
  return sum;
}

inline double share_of(const Rows& rows, const Objective& objective, const Reduction& reduction,
                       int64_t counted) {
  if (!reduction.mean) return 1.0;
  const bool given = reduction.normalizer == reduction.normalizer;
  const double divisor = given ? reduction.normalizer : total_weight(rows, objective, counted);
  return reduction.empty_is_zero && divisor == 0 ? 0.0 : 1 / divisor;
}

// Large enough to be worth a call, and small enough that shares of them are even.
constexpr int64_t kChunkElements = int64_t{1} << 16, kChunkRows = 1024;

// The loss. Its gradient times `upstream` goes to gradient.data, unless that is null. Chunks do not
// depend on the number of threads, and their losses are added in order.
inline double evaluate(const Kernels& kernels, Type type, const Rows& rows,
                       const Objective& objective, const Reduction& reduction, int64_t counted,
                       double upstream, const Gradient& gradient, int64_t threads) {
  const double share = share_of(rows, objective, reduction, counted);
  const int64_t fit = kChunkElements / (rows.classes + 1), count = rows.count();
  const int64_t least = rows.inner > 1 ? kTileRows : 1;
  const int64_t chunk = fit < least ? least : fit < kChunkRows ? fit : kChunkRows;
  std::vector<double> losses(static_cast<size_t>((count + chunk - 1) / chunk));
  share_out(static_cast<int64_t>(losses.size()), useful_threads(count, rows.classes, threads),
            [&](int64_t begin, int64_t end) {
              kernels.train[type](rows, objective, share * upstream, gradient, chunk, begin, end,
                                  losses.data());
            });
  double sum = 0.0;
  for (double loss : losses) sum += loss;
  return sum * share;
}
