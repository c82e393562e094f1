// The training loss and its gradient in one go: statistics, scalar rule and gradient of some rows
// that stay in the cache meanwhile, so that logits come from memory once.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "passes.h"
#include "rules.h"

namespace {

// Statistics and slopes of up to kTrainRows rows.
struct TrainingTable {
  alignas(64) double columns[7][kTrainRows];

  // As arrays over all rows, of which these begin at `begin`.
  double* column(int k, int64_t begin) { return columns[k] - begin; }
  Statistics statistics(int64_t begin, bool weighted) {
    return {column(0, begin),
            column(1, begin),
            column(2, begin),
            column(3, begin),
            weighted ? column(4, begin) : nullptr,
            nullptr};
  }
};

// Numbers of some rows, with `fill` for the lanes after them.
inline Numbers some_of(const double* from, int64_t count, double fill) {
  return count >= Lanes<double>::count ? load(from) : load_part(from, count, fill);
}

// The weights of some rows' classes, or of the rows, 0 for ignored rows.
inline Numbers class_weights(const Rows& rows, const double* weight, int64_t i, int64_t count) {
  Numbers weights{};
  for (int64_t k = 0; k < count && k < Lanes<double>::count; ++k)
    if (rows.target[i + k] != rows.ignore_index) weights[k] = weight[rows.target[i + k]];
  return weights;
}
inline Numbers row_weights(const Rows& rows, const double* weight, int64_t i, int64_t count) {
  Numbers weights{};
  for (int64_t k = 0; k < count && k < Lanes<double>::count; ++k)
    if (rows.target[i + k] != rows.ignore_index) weights[k] = weight[i + k];
  return weights;
}

// w_y ((1 - smoothing) f + z_loss L^2) + share sum_j w_j (-log p_j), times the row's own weight, as
// crossentropy.losses._objective has it. Lanes past the last row are certain rows.
inline Numbers objective_of(const Rows& rows, const Objective& objective, const Statistics& given,
                            double factor, int64_t i, int64_t count, double* a, double* b) {
  const Numbers zero{};
  const Target target = {some_of(given.log_prob + i, count, 0.0),
                         some_of(given.prob + i, count, 1.0),
                         some_of(given.prob_rest + i, count, 0.0)};
  Ruled row = sum_of_rules(objective, target);
  Numbers steeper{};  // a - b
  if (objective.smoothing != 0) {
    row.value *= 1 - objective.smoothing;
    row.slope *= 1 - objective.smoothing;
  }
  if (objective.z_loss != 0) {
    const Numbers lse = some_of(given.lse + i, count, 0.0);
    row.value += objective.z_loss * lse * lse;
    steeper = 2 * objective.z_loss * lse;
  }
  if (objective.class_weight != nullptr) {
    const Numbers weight = class_weights(rows, objective.class_weight, i, count);
    row.value = weight == 0.0 ? zero : row.value * weight;  // a weight of 0 silences even inf
    row.slope *= weight;
    steeper *= weight;
  }
  if (objective.smoothing != 0) {
    row.value += objective.share * some_of(given.weighted_nll + i, count, 0.0);
    steeper += objective.share * rows.weight_total;
  }
  if (objective.sample_weight != nullptr) {
    const Numbers own = row_weights(rows, objective.sample_weight, i, count);
    row.value = own == 0.0 ? zero : row.value * own;
    row.slope *= own;
    steeper *= own;
  }
  put(a + i, (row.slope + steeper) * factor, count);
  put(b + i, row.slope * factor, count);
  return row.value;
}

// c, the slope in the weighted sum: a number for each row only where rows have weights.
inline Coefficient push_of(const Objective& objective, double factor, int64_t begin, int64_t end,
                           double* column) {
  if (objective.smoothing == 0) return {nullptr, 0};
  for (int64_t i = begin; i < end; ++i)
    column[i] = objective.share * factor *
                (objective.sample_weight == nullptr ? 1.0 : objective.sample_weight[i]);
  return {column, 1};
}

// The sum of the losses of rows [begin, end), no more than kTrainRows; their gradient times
// `factor` goes to gradient.data unless that is null.
template <typename S>
double train(const Rows& rows, const Objective& objective, double factor, const Gradient& gradient,
             int64_t begin, int64_t end) {
  TrainingTable table;
  const bool weighted = objective.smoothing != 0;
  const Statistics given = table.statistics(begin, weighted);
  statistics<S>(rows, given, begin, end);
  double *a = table.column(5, begin), *b = table.column(6, begin);
  Numbers sum{};
  for (int64_t i = begin; i < end; i += Lanes<double>::count)
    sum += objective_of(rows, objective, given, factor, i, end - i, a, b);
  if (gradient.data != nullptr) {
    // weighted_nll is no longer needed
    const Coefficient c = push_of(objective, factor, begin, end, table.column(4, begin));
    ::gradient<S>(rows, given, {{a, 1}, {b, 1}, c}, gradient, begin, end);
  }
  return reduce_add(sum);
}

}  // namespace
