// Passes over all rows by several threads: the training loss chunk by chunk, with what a mean
// divides by, and the gradient.
#pragma once

#include <atomic>
#include <memory>
#include <new>
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

// Classes [begin, end) of rows whose classes lie apart, in one block: a target beside them is one
// past the last, and has no entry. `target` has room for one of each row.
inline Rows some_classes(const Rows& rows, Type type, int64_t begin, int64_t end, int64_t* target) {
  const int64_t number = type == kFloat64 ? 8 : 4;
  const auto at = [](const void* from, int64_t bytes) {
    return from == nullptr ? nullptr : static_cast<const char*>(from) + bytes;
  };
  for (int64_t i = 0; i < rows.inner; ++i) {
    const int64_t y = rows.target[i];
    target[i] = y == rows.ignore_index ? -1 : y < begin || y >= end ? end - begin : y - begin;
  }
  Rows some = rows;
  some.logits = at(rows.logits, begin * rows.inner * kSizes[type]);
  some.target = target;
  some.ignore_index = -1;
  some.classes = end - begin;
  some.bias = at(rows.bias, begin * number);
  some.weight = at(rows.weight, begin * number);
  return some;
}

constexpr int64_t kRangeClasses = 128, kManyClasses = 4096;

// The gradient over all rows. Of many classes that lie apart some are taken at a time, whose memory
// is one piece: rows would leave gaps between what is read together. In one block only, which has
// rows.inner targets, where an empty input has none.
inline void write_gradient(const Kernels& kernels, Type type, const Rows& rows,
                           const Statistics& given, const Slopes& slopes, const Gradient& gradient,
                           int64_t threads) {
  const int64_t classes = rows.classes, count = rows.count();
  if (rows.outer != 1 || rows.inner == 1 || classes < kManyClasses) {
    over_rows(rows, threads, [&](int64_t begin, int64_t end) {
      kernels.gradient[type](rows, given, slopes, gradient, begin, end);
    });
    return;
  }
  const int64_t ranges = (classes + kRangeClasses - 1) / kRangeClasses;
  std::atomic<bool> complete{true};
  share_out(ranges, useful_threads(count, classes, threads), [&](int64_t first, int64_t last) {
    const std::unique_ptr<int64_t[]> target(new (std::nothrow) int64_t[static_cast<size_t>(count)]);
    if (target == nullptr) complete = false;
    for (int64_t k = first; k < last && target != nullptr; ++k) {
      const int64_t begin = k * kRangeClasses, end = begin + kRangeClasses;
      const Rows some =
          some_classes(rows, type, begin, end < classes ? end : classes, target.get());
      Gradient to = gradient;
      to.data = static_cast<char*>(gradient.data) + begin * rows.inner * kSizes[type];
      kernels.gradient[type](some, given, slopes, to, 0, count);
    }
  });
  if (!complete) throw std::bad_alloc();
}

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
