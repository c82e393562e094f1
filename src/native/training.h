// The training loss and its gradient in one go: statistics, scalar rule and gradient of some rows
// that stay in the cache meanwhile, so that logits come from memory once.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "kept.h"
#include "passes.h"
#include "plain.h"
#include "rules.h"
#include "scratch.h"

namespace {

// Statistics and slopes of a batch of rows.
struct TrainingTable {
  alignas(64) double columns[7][kBatch];

  // As arrays over all rows, of which these begin at `begin`.
  double* column(int k, int64_t begin) { return columns[k] - begin; }
  Statistics statistics(int64_t begin, bool weighted) {
    return {column(0, begin), column(1, begin), column(2, begin), column(3, begin),
            weighted ? column(4, begin) : nullptr};
  }
};

// A weight for each of some rows, 0 for ignored ones.
template <typename WeightOf>
inline Numbers row_weights(const Rows& rows, int64_t i, int64_t count, WeightOf weight_of) {
  Numbers weights{};
  for (int64_t k = 0; k < count && k < Lanes<double>::count; ++k)
    if (rows.target[i + k] != rows.ignore_index) weights[k] = weight_of(i + k);
  return weights;
}

// Where the slopes of some rows go; c is null where rows have no weights.
struct SlopeColumns {
  double *a, *b, *c;
};

// w_y ((1 - smoothing) f + z_loss L^2) + share sum_j w_j (-log p_j), times the row's own weight, as
// crossentropy.losses._objective has it. Lanes past the last row are certain rows.
inline Numbers objective_of(const Rows& rows, const Objective& objective, const Statistics& given,
                            double factor, int64_t i, int64_t count, const SlopeColumns& slopes) {
  const Numbers zero{};
  const bool weighted = given.weighted_nll != nullptr;
  const Numbers weighted_nll = weighted ? read_lanes(given.weighted_nll + i, count) : zero;
  const Target target = {
      read_lanes(given.log_prob + i, count), read_lanes(given.prob + i, count, 1.0),
      read_lanes(given.prob_rest + i, count), weighted_nll, static_cast<double>(rows.classes)};
  Ruled row = sum_of_rules(objective, target);
  if (objective.smoothing != 0) scale(row, broadcast(1 - objective.smoothing));
  if (objective.z_loss != 0) {
    const Numbers lse = read_lanes(given.lse + i, count);
    row.value += objective.z_loss * lse * lse;
    row.steeper += 2 * objective.z_loss * lse;
  }
  if (objective.class_weight != nullptr) {
    const Numbers weight = row_weights(
        rows, i, count, [&](int64_t row) { return objective.class_weight[rows.target[row]]; });
    const Numbers value = row.value;
    scale(row, weight);
    row.value = weight == 0.0 ? zero : value * weight;  // a weight of 0 silences even inf
  }
  if (objective.smoothing != 0) {
    row.value += objective.share * weighted_nll;
    row.steeper += objective.share * rows.weight_total;
    row.push += objective.share;
  }
  if (objective.sample_weight != nullptr) {
    const Numbers own =
        row_weights(rows, i, count, [&](int64_t row) { return objective.sample_weight[row]; });
    const Numbers value = row.value;
    scale(row, own);
    row.value = own == 0.0 ? zero : value * own;
  }
  write_lanes(slopes.a + i, (row.slope + row.steeper) * factor, count);
  write_lanes(slopes.b + i, row.slope * factor, count);
  if (weighted) write_lanes(slopes.c + i, row.push * factor, count);
  return row.value;
}

// Whether rows need nothing but one rule of log p alone, or a sum of -log p and 1 - p.
inline bool is_rule_alone(const Objective& objective) {
  bool linear = true;
  for (int64_t k = 0; k < objective.count; ++k)
    linear &= objective.terms[k].kind == kLogProb || objective.terms[k].kind == kProbRest;
  const bool one = objective.count == 1 && objective.terms->kind != kNormalized;
  return is_bare(objective) && (one || linear);
}

// What `use` makes of that rule and of a factor.
template <typename Use>
inline auto with_rule_alone(const Objective& objective, Use use) {
  const RuleTerm& first = objective.terms[0];
  if (objective.count == 1)
    return with_rule(first, [&](auto rule) { return use(rule, first.factor); });
  double a = 0.0, b = 0.0;
  for (int64_t k = 0; k < objective.count; ++k)
    (objective.terms[k].kind == kLogProb ? a : b) += objective.terms[k].factor;
  const auto sum = [=](const Target& row) {
    return Ruled{b * row.prob_rest - a * row.log_prob, a + b * row.prob};
  };
  return use(sum, 1.0);
}

// The sum of such losses of rows [begin, end); their slopes times the factor go to `slopes`.
inline double apply_alone(const Objective& objective, const Statistics& given, double factor,
                          int64_t begin, int64_t end, double* slopes) {
  constexpr int64_t lanes = Lanes<double>::count;
  return with_rule_alone(objective, [&](auto rule, double by) {
    Numbers sum{};
    const auto apply = [&](int64_t i, int64_t count) {
      const Target target = {read_lanes(given.log_prob + i, count),
                             read_lanes(given.prob + i, count, 1.0),
                             read_lanes(given.prob_rest + i, count),
                             {},
                             0.0};
      const Ruled row = rule(target);
      write_lanes(slopes + i, row.slope * (by * factor), count);
      sum += row.value;
    };
    int64_t i = begin;
    for (; i + lanes <= end; i += lanes) apply(i, lanes);
    if (i < end) apply(i, end - i);
    return reduce_add(sum) * by;
  });
}

inline double sum_of(const double* numbers, int64_t count) {
  Numbers sum{};
  for (int64_t k = 0; k < count; k += Lanes<double>::count)
    sum += read_lanes(numbers + k, count - k);
  return reduce_add(sum);
}

// A batch of rows between its two passes.
template <typename S>
struct TrainingBatch {
  const Rows& rows;
  const Objective& objective;
  const Gradient& gradient;
  double factor;
  int64_t begin, end;
  TrainingTable table;

  TrainingBatch(const Rows& rows, const Objective& objective, const Gradient& gradient,
                double factor, int64_t begin, int64_t end)
      : rows(rows),
        objective(objective),
        gradient(gradient),
        factor(factor),
        begin(begin),
        end(end) {}

  Statistics statistics() { return table.statistics(begin, rows.weight != nullptr); }

  // The sum of the losses; `slopes` are those of the loss times the factor.
  double apply(const Statistics& given, Slopes& slopes) {
    if (is_plain(objective)) {
      slopes = {{&factor, 0}, {&factor, 0}, {nullptr, 0}};
      return -sum_of(given.log_prob + begin, end - begin);
    }
    if (is_rule_alone(objective)) {
      double* column = table.column(5, begin);
      slopes = {{column, 1}, {column, 1}, {nullptr, 0}};
      return apply_alone(objective, given, factor, begin, end, column);
    }
    // c takes the place of weighted_nll, which is read before
    const SlopeColumns columns = {table.column(5, begin), table.column(6, begin),
                                  given.weighted_nll};
    Numbers sum{};
    for (int64_t i = begin; i < end; i += Lanes<double>::count)
      sum += objective_of(rows, objective, given, factor, i, end - i, columns);
    slopes = {{columns.a, 1}, {columns.b, 1}, {columns.c, 1}};
    return reduce_add(sum);
  }

  double by_passes() {
    const Statistics given = statistics();
    Slopes slopes;
    ::statistics<S>(rows, given, begin, end);
    const double sum = apply(given, slopes);
    if (gradient.data != nullptr) ::gradient<S>(rows, given, slopes, gradient, begin, end);
    return sum;
  }

  double keeping_tiles(void* scratch) {
    KeptTiles<S> kept(rows, scratch);
    const TileRows tile(rows, begin, end);
    const TileTarget<Compute<S>> target(rows, tile);
    const Statistics given = statistics();
    Slopes slopes;
    kept.statistics(given, tile, target);
    const double sum = apply(given, slopes);
    if (!kept.gradient(given, slopes, gradient, tile, target))
      ::gradient<S>(rows, given, slopes, gradient, begin, end);
    return sum;
  }

  double keeping_rows(void* scratch) {
    KeptRows<S> kept(rows, end - begin, scratch);
    const Statistics given = statistics();
    Slopes slopes;
    kept.statistics(given, begin, end - begin);
    const double sum = apply(given, slopes);
    if (!kept.gradient(given, slopes, gradient, begin, end - begin))
      ::gradient<S>(rows, given, slopes, gradient, begin, end);
    return sum;
  }
};

constexpr int64_t kMostKept = int64_t{1} << 21;  // bytes

// The losses of chunks [begin, end), each of `chunk` rows: step(i, last, loss) adds that of some
// rows from i on, of none from `last` on, and returns how many they were.
template <typename Step>
inline void over_chunks(const Rows& rows, int64_t chunk, int64_t begin, int64_t end, double* losses,
                        Step step) {
  for (int64_t k = begin; k < end; ++k) {
    const int64_t last = (k + 1) * chunk < rows.count() ? (k + 1) * chunk : rows.count();
    losses[k] = 0.0;
    for (int64_t i = k * chunk; i < last;) i += step(i, last, losses[k]);
  }
}

template <typename S>
void train_plain(const Rows& rows, double factor, const Gradient& gradient, int64_t chunk,
                 int64_t begin, int64_t end, double* losses) {
  PlainTile<S> tile(rows, factor, gradient);
  over_chunks(rows, chunk, begin, end, losses, [&](int64_t i, int64_t last, double& loss) {
    const TileRows at(rows, i, last);
    loss += tile.run(at);
    return at.size;
  });
  if (gradient.stream) fence();
}

// The losses of chunks [begin, end), each of `chunk` rows, go to `losses`; the rows' gradient times
// `factor` goes to gradient.data, unless that is null.
template <typename S>
void train(const Rows& rows, const Objective& objective, double factor, const Gradient& gradient,
           int64_t chunk, int64_t begin, int64_t end, double* losses) {
  const bool tiled = across_rows(rows);
  if (tiled && PlainTile<S>::serves(rows, objective, factor))
    return train_plain<S>(rows, factor, gradient, chunk, begin, end, losses);
  const int64_t least = tiled ? KeptTiles<S>::bytes(rows) : KeptRows<S>::bytes_of_row(rows);
  // rows that no cache has room for are read once more
  const bool keeps = gradient.data != nullptr && least <= kMostKept;
  const Scratch scratch(keeps ? least : 0);
  const int64_t fit = tiled || scratch.data == nullptr ? kBatch : scratch.bytes / least;
  const int64_t most = fit < kBatch ? fit : kBatch;
  over_chunks(rows, chunk, begin, end, losses, [&](int64_t i, int64_t last, double& loss) {
    const int64_t left = last - i < most ? last - i : most;
    const int64_t size = tiled ? TileRows(rows, i, last).size : left;
    TrainingBatch<S> batch(rows, objective, gradient, factor, i, i + size);
    loss += scratch.data == nullptr ? batch.by_passes()
            : tiled                 ? batch.keeping_tiles(scratch.data)
                                    : batch.keeping_rows(scratch.data);
    return size;
  });
  if (gradient.stream) fence();
}

}  // namespace
