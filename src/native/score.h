// The sums of an evaluation over rows of logits, a chunk of rows at a time that stays in the cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels.h"
#include "parallel.h"

// Rows one after the other, or each class at an address of its own; of one type.
struct ScoredLogits {
  const char* rows;  // or null
  std::vector<const char*> columns;
  int64_t classes;
  Type type;
  int64_t element;  // bytes of a logit
};

// Of the rows whose greatest probability lies in a cell: w, w^2, w p and w times hits.
struct CellSums {
  double weight, square, confidence, hits;
};

// Of all rows: w^2, and w^2 times loss, loss^2, Brier score, its square, and whether it is a hit.
struct SquareSums {
  double weight, loss, loss_square, brier, brier_square, hits;
};

// What crossentropy.scores keeps, where each array is described: a number for each class, but for
// squares, cells and the confusion of classes, which may be null.
struct ScoreSums {
  int64_t *rows, *infinite;
  double *infinite_weight, *support, *predicted, *hits, *loss, *brier;
  SquareSums* squares;
  CellSums* cells;
  double* confusion;
  int64_t classes, cell_count;
};

// Cells are (0, 1/count], ..., (1 - 1/count, 1]; the first has 0, too.
inline int64_t cell_of(double confidence, int64_t count) {
  const double at = confidence * static_cast<double>(count);
  const auto whole = static_cast<int64_t>(at);
  const int64_t cell = static_cast<double>(whole) == at ? whole - 1 : whole;
  return cell < 0 ? 0 : cell < count ? cell : count - 1;
}

// Statistics of so many rows.
class ScoreTable {
 public:
  explicit ScoreTable(int64_t rows)
      : rows_(rows), numbers_(static_cast<size_t>(6 * rows)), argmax_(static_cast<size_t>(rows)) {}

  Statistics from(int64_t i) {
    const auto column = [&](int k) { return numbers_.data() + k * rows_ + i; };
    return {column(0), column(1),          column(2), column(3),
            nullptr,   argmax_.data() + i, column(4), column(5)};
  }

 private:
  int64_t rows_;
  std::vector<double> numbers_;
  std::vector<int64_t> argmax_;
};

// Those of `size` rows from `begin` on. Columns are gathered to `scratch`, of size * classes
// logits.
inline void statistics_of_chunk(const Kernels& kernels, const ScoredLogits& logits,
                                const int64_t* target, int64_t begin, int64_t size, int64_t threads,
                                char* scratch, ScoreTable& table) {
  const int64_t row = logits.classes * logits.element;
  over_rows(size, logits.classes, threads, [&](int64_t from, int64_t to) {
    const int64_t first = begin + from, count = to - from, column = count * logits.element;
    char* gathered = scratch + from * row;
    for (size_t c = 0; c < logits.columns.size(); ++c)
      std::memcpy(gathered + static_cast<int64_t>(c) * column,
                  logits.columns[c] + first * logits.element, static_cast<size_t>(column));
    Rows rows = {};
    rows.logits = logits.rows == nullptr ? gathered : logits.rows + first * row;
    rows.target = target + first;
    rows.outer = logits.rows == nullptr ? 1 : count;
    rows.classes = logits.classes;
    rows.inner = logits.rows == nullptr ? count : 1;
    rows.ignore_index = -1;  // no class is
    rows.scale = 1.0;
    kernels.statistics[logits.type](rows, table.from(from), 0, count);
  });
}

// Rows of weight 0 count for nothing. Two loops, since the sums of one would wait for the other's.
template <bool weighted>
void add_chunk(const Statistics& given, const int64_t* target, const double* weights, int64_t size,
               const ScoreSums& sums) {
  SquareSums squares = *sums.squares;
  for (int64_t i = 0; i < size; ++i) {
    const double w = weighted ? weights[i] : 1.0, rest = given.prob_rest[i];
    if (weighted && w == 0) continue;  // nothing infinite is multiplied by 0
    const int64_t y = target[i];
    double loss = -given.log_prob[i];
    if (std::isinf(loss)) {
      sums.infinite[y] += 1;
      sums.infinite_weight[y] += w;
      loss = 0.0;
    }
    const double brier = rest * rest + given.square_rest[i];
    const double hit = y == given.argmax[i] ? w : 0.0;
    sums.rows[y] += 1;
    sums.support[y] += w;
    sums.hits[y] += hit;
    sums.loss[y] += w * loss;
    sums.brier[y] += w * brier;
    squares.weight += w * w;
    squares.loss += w * w * loss;
    squares.loss_square += w * w * loss * loss;
    squares.brier += w * w * brier;
    squares.brier_square += w * w * brier * brier;
    squares.hits += w * hit;
  }
  *sums.squares = squares;
  for (int64_t i = 0; i < size; ++i) {
    const double w = weighted ? weights[i] : 1.0, confidence = given.top_prob[i];
    const int64_t y = target[i], predicted = given.argmax[i];
    CellSums& cell = sums.cells[cell_of(confidence, sums.cell_count)];
    cell.weight += w;
    cell.square += w * w;
    cell.confidence += w * confidence;
    cell.hits += y == predicted ? w : 0.0;
    sums.predicted[predicted] += w;
    if (sums.confusion != nullptr) sums.confusion[y * sums.classes + predicted] += w;
  }
}

// The first row that is no prediction, or -1. What is added is whole chunks, in order: the same
// sums whatever the number of threads. Nothing is from the chunk of such a row on.
inline int64_t add_scores(const Kernels& kernels, const ScoredLogits& logits, const int64_t* target,
                          const double* weights, int64_t count, int64_t chunk,
                          const ScoreSums& sums, int64_t threads) {
  std::vector<char> scratch(
      static_cast<size_t>(logits.rows == nullptr ? chunk * logits.classes * logits.element : 0));
  ScoreTable table(chunk);
  const Statistics given = table.from(0);
  for (int64_t begin = 0; begin < count; begin += chunk) {
    const int64_t size = std::min(chunk, count - begin);
    statistics_of_chunk(kernels, logits, target, begin, size, threads, scratch.data(), table);
    for (int64_t i = 0; i < size; ++i)
      if (std::isnan(given.log_prob[i])) return begin + i;
    (weights == nullptr ? add_chunk<false> : add_chunk<true>)(given, target + begin,
                                                              weights == nullptr ? nullptr
                                                                                 : weights + begin,
                                                              size, sums);
  }
  return -1;
}
