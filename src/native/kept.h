// The two passes over a few rows with one exponential for both: what the statistics sum,
// exp(z - max), is kept in scratch memory, and multiplied by a exp(max - L) it is the gradient.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "columns.h"
#include "rows.h"

namespace {

// a exp(max - L) of a batch's rows, by their greatest logits.
inline void row_factors(const Rows& rows, const Batch& batch, const Coefficient& a, int64_t begin,
                        int64_t size, double* factors) {
  for (int64_t k = 0; k < size; ++k) factors[k] = batch.prob_of_max[k] * a[begin + k] * rows.scale;
}

// The same by the greatest logit of a block.
inline Vector<double> block_factor(Vector<double> block_max, Vector<double> max,
                                   Vector<double> factor) {
  return block_max == max ? factor : exp<double>(block_max - max) * factor;
}

// Where factors are too large the other gradient kernels fold slopes.
inline bool are_moderate(const double* factors, int64_t count) {
  double most = 0.0;
  for (int64_t k = 0; k < count; ++k) most = ::fabs(factors[k]) > most ? ::fabs(factors[k]) : most;
  return most <= kSteep;
}

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

// ---- adjacent rows ------------------------------------------------------------------------------

template <typename S>
struct KeptRows {
  using T = Compute<S>;

  T* exps;         // (rows, stride)
  double* maxima;  // (rows, blocks)
  int64_t stride, blocks;
  Batch batch;

  static int64_t padded(int64_t classes) { return round_up(classes, 64); }
  static int64_t bytes_of_row(int64_t classes) {
    const auto exps = static_cast<int64_t>(sizeof(T)) * padded(classes);
    return exps + static_cast<int64_t>(sizeof(double)) * ((classes + kBlock - 1) / kBlock);
  }
  KeptRows(int64_t classes, int64_t size, void* scratch)
      : exps(static_cast<T*>(scratch)),
        maxima(reinterpret_cast<double*>(exps + size * padded(classes))),
        stride(padded(classes)),
        blocks((classes + kBlock - 1) / kBlock) {}

  void statistics(const Rows& rows, const Statistics& out, int64_t begin, int64_t size) {
    for (int64_t k = 0; k < size; ++k) {
      const int64_t i = begin + k, y = rows.target[i];
      if (y == rows.ignore_index) {
        batch.ignore(k);
        continue;
      }
      const S* row = static_cast<const S*>(rows.logits) + i * rows.classes;
      reduce_row<true>(rows, row, y, k, batch, nullptr, exps + k * stride, maxima + k * blocks);
    }
    finish(rows, batch, out, begin, size);
  }

  // False where the factors are too large: nothing was written.
  bool gradient(const Rows& rows, const Statistics& given, const Slopes& slopes,
                const Gradient& gradient, int64_t begin, int64_t size) {
    alignas(64) double factors[kBatch];
    row_factors(rows, batch, slopes.a, begin, size, factors);
    if (!are_moderate(factors, size)) return false;
    BatchSlopes<T> entries;
    entries.take(rows, given, slopes, begin, size);
    for (int64_t k = 0; k < size; ++k) {
      const int64_t y = rows.target[begin + k];
      S* out = static_cast<S*>(gradient.data) + (begin + k) * rows.classes;
      if (y == rows.ignore_index)
        std::memset(static_cast<void*>(out), 0, static_cast<size_t>(rows.classes) * sizeof(S));
      else
        emit_row(rows, k, y, factors[k], entries, slopes.c.data != nullptr, gradient.stream, out);
    }
    return true;
  }

 private:
  void emit_row(const Rows& rows, int64_t k, int64_t y, double row_factor,
                const BatchSlopes<T>& slopes, bool weighted, bool past_caches, S* out) {
    const T* weight = static_cast<const T*>(rows.weight);
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t begin = b * kBlock;
      const int64_t size = rows.classes - begin < kBlock ? rows.classes - begin : kBlock;
      const auto of_block = block_factor(broadcast(maxima[k * blocks + b]), broadcast(batch.max[k]),
                                         broadcast(row_factor));
      const auto factor = broadcast(static_cast<T>(of_block[0])), least = least_for<T>(factor);
      T* block = exps + k * stride + begin;
      for (int64_t j = 0; j < size; j += Lanes<T>::count)
        store(block + j, scaled<T>(load(block + j), factor, least));
      if (y >= begin && y < begin + size) block[y - begin] = slopes.entry[k];
      if (weighted) subtract_weights(block, weight + begin, size, slopes.c[k]);
      if (past_caches)
        emit_streaming(block, out + begin, size);
      else
        emit(block, out + begin, size);
    }
  }
};

// ---- tiles --------------------------------------------------------------------------------------

template <typename S>
struct KeptTiles {
  using T = Compute<S>;

  Tile<T>* tiles;
  double (*maxima)[kBatch];
  int64_t count;
  Batch batch;

  static int64_t tiles_of(int64_t classes) { return (classes + kTileClasses - 1) / kTileClasses; }
  static int64_t bytes(int64_t classes) {
    return tiles_of(classes) * static_cast<int64_t>(sizeof(Tile<T>) + sizeof(double[kBatch]));
  }
  KeptTiles(int64_t classes, void* scratch)
      : tiles(static_cast<Tile<T>*>(scratch)),
        maxima(reinterpret_cast<double (*)[kBatch]>(tiles + tiles_of(classes))),
        count(tiles_of(classes)) {}

  void statistics(const Rows& rows, const Statistics& out, const TileRows& tile,
                  const TileTarget<T>& target) {
    TileSums<T> sums;
    for (int64_t t = 0; t < count; ++t) {
      const int64_t begin = t * kTileClasses, classes = classes_of(rows, t);
      load_tile<S>(rows, tile, begin, classes, tiles[t]);
      adjust_tile<T>(rows, tile, begin, classes, tiles[t]);
      for (int64_t i = 0; i < tile.size; i += Lanes<T>::count)
        reduce_lanes<true, T>(rows, tiles[t], begin, classes, i, target.at(i), batch, sums);
      for (int64_t k = 0; k < tile.size; ++k) maxima[t][k] = static_cast<double>(sums.max[k]);
    }
    finish_tile(rows, target, sums, tile.size, batch);
    finish(rows, batch, out, tile.begin, tile.size);
  }

  // False where the factors are too large: nothing was written.
  bool gradient(const Rows& rows, const Statistics& given, const Slopes& slopes,
                const Gradient& gradient, const TileRows& tile, const TileTarget<T>& target) {
    alignas(64) double factors[kBatch];
    row_factors(rows, batch, slopes.a, tile.begin, tile.size, factors);
    if (!are_moderate(factors, tile.size)) return false;
    BatchSlopes<T> entries;
    entries.take(rows, given, slopes, tile.begin, tile.size);
    for (int64_t t = 0; t < count; ++t) {
      const int64_t begin = t * kTileClasses, classes = classes_of(rows, t);
      alignas(64) T factor[kBatch];
      tile_factors(t, tile.size, factors, factor);
      for (int64_t i = 0; i < tile.size; i += Lanes<T>::count)
        scale_lanes(rows, tiles[t], begin, classes, i, target.at(i), load(factor + i), entries,
                    slopes.c.data != nullptr);
      store_tile<S>(rows, tile, begin, classes, tiles[t], static_cast<S*>(gradient.data),
                    gradient.stream);
    }
    return true;
  }

 private:
  static int64_t classes_of(const Rows& rows, int64_t t) {
    const int64_t left = rows.classes - t * kTileClasses;
    return left < kTileClasses ? left : kTileClasses;
  }

  void tile_factors(int64_t t, int64_t size, const double* of_rows, T* factor) const {
    if (count == 1) {
      for (int64_t k = 0; k < size; ++k) factor[k] = static_cast<T>(of_rows[k]);
      return;
    }
    alignas(64) double of_tile[kBatch];
    for (int64_t k = 0; k < size; k += Lanes<double>::count)
      store(of_tile + k, block_factor(load(maxima[t] + k), load(batch.max + k), load(of_rows + k)));
    for (int64_t k = 0; k < size; ++k) factor[k] = static_cast<T>(of_tile[k]);
  }

  static void scale_lanes(const Rows& rows, Tile<T>& tile, int64_t begin, int64_t classes,
                          int64_t i, typename Lanes<T>::Bits target, Vector<T> factor,
                          const BatchSlopes<T>& slopes, bool weighted) {
    using Bits = typename BitsOf<T>::type;
    const Vector<T> entry = load(slopes.entry + i), least = least_for<T>(factor), zero{};
    const T* weight = weighted ? static_cast<const T*>(rows.weight) + begin : nullptr;
    const Vector<T> push = weighted ? load(slopes.c + i) : zero;
    for (int64_t c = 0; c < classes; ++c) {
      Vector<T> g = scaled<T>(load(&tile[c][i]), factor, least);
      g = target == static_cast<Bits>(begin + c) ? entry : g;
      if (weighted) g -= push * weight[c];
      store(&tile[c][i], target < 0 ? zero : g);
    }
  }
};

}  // namespace
