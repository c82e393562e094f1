// The two passes over a few rows with one exponential for both: what the statistics sum,
// exp(z - max), is kept in scratch memory, and multiplied by a exp(max - L) it is the gradient.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "columns.h"
#include "rows.h"

namespace {

// What the rows' exponentials are multiplied by, a exp(max - L), and what they do not give.
template <typename T>
struct KeptSlopes : TargetSlopes<T> {
  alignas(64) double factor[kBatch];

  // False where factors are too large: the other gradient kernels fold slopes.
  bool take(const Rows& rows, const Batch& batch, const Statistics& statistics,
            const Slopes& slopes, int64_t begin, int64_t size) {
    Vector<double> most{};
    for (int64_t k = 0; k < size; k += Lanes<double>::count) {
      const Vector<double> a = this->take_lanes(rows, statistics, slopes, begin, k, size);
      const Vector<double> f = read_lanes(batch.prob_of_max + k, size - k) * a;
      const Vector<double> steepness = magnitude<double>(f);
      store(factor + k, f);
      most = steepness > most ? steepness : most;
    }
    return reduce_max<double>(most) <= kSteep;
  }
};

// The same by the greatest logit of a block.
inline Vector<double> block_factor(Vector<double> block_max, Vector<double> max,
                                   Vector<double> factor) {
  return block_max == max ? factor : exp<double>(block_max - max) * factor;
}

// ---- adjacent rows ------------------------------------------------------------------------------

template <typename S>
struct KeptRows {
  using T = Compute<S>;

  const Rows& rows;
  int64_t stride, blocks;
  T *exps, *cap_slopes;  // (rows, stride); the latter is null where there is no cap
  double* maxima;        // (rows, blocks)
  Batch batch;

  static int64_t padded(int64_t classes) { return round_up(classes, 64); }
  static int64_t bytes_of_row(const Rows& rows) {
    const auto exps = static_cast<int64_t>(sizeof(T)) * padded(rows.classes);
    return exps * (rows.cap == 0.0 ? 1 : 2) +
           static_cast<int64_t>(sizeof(double)) * ((rows.classes + kBlock - 1) / kBlock);
  }
  KeptRows(const Rows& rows, int64_t size, void* scratch)
      : rows(rows),
        stride(padded(rows.classes)),
        blocks((rows.classes + kBlock - 1) / kBlock),
        exps(static_cast<T*>(scratch)),
        cap_slopes(rows.cap == 0.0 ? nullptr : exps + size * stride),
        maxima(reinterpret_cast<double*>(exps + (rows.cap == 0.0 ? 1 : 2) * size * stride)) {}

  KeptRow<T> row(int64_t k) const {
    return {exps + k * stride, maxima + k * blocks, cap_slopes ? cap_slopes + k * stride : nullptr};
  }

  void statistics(const Statistics& out, int64_t begin, int64_t size) {
    for (int64_t k = 0; k < size; ++k) {
      const int64_t i = begin + k, y = rows.target[i];
      if (y == rows.ignore_index) {
        batch.ignore(k);
        continue;
      }
      const S* logits = static_cast<const S*>(rows.logits) + i * rows.classes;
      reduce_row<true>(rows, logits, y, k, batch, nullptr, row(k));
    }
    finish(rows, batch, out, begin, size);
  }

  // False where the factors are too large: nothing was written.
  bool gradient(const Statistics& given, const Slopes& slopes, const Gradient& gradient,
                int64_t begin, int64_t size) {
    KeptSlopes<T> kept;
    if (!kept.take(rows, batch, given, slopes, begin, size)) return false;
    for (int64_t k = 0; k < size; ++k) {
      const int64_t y = rows.target[begin + k];
      S* out = static_cast<S*>(gradient.data) + (begin + k) * rows.classes;
      if (y == rows.ignore_index)
        std::memset(static_cast<void*>(out), 0, static_cast<size_t>(rows.classes) * sizeof(S));
      else
        emit_row(k, y, kept, slopes.c.data != nullptr, gradient.stream, out);
    }
    return true;
  }

 private:
  void emit_row(int64_t k, int64_t y, const KeptSlopes<T>& slopes, bool weighted, bool past_caches,
                S* out) {
    const T* weight = static_cast<const T*>(rows.weight);
    const KeptRow<T> kept = row(k);
    const T push = weighted ? slopes.c[k] : 0;
    T entry = slopes.entry[k];
    if (weighted) entry -= push * weight[y];
    if (kept.cap_slopes) entry *= kept.cap_slopes[y];
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t begin = b * kBlock;
      const int64_t size = rows.classes - begin < kBlock ? rows.classes - begin : kBlock;
      const auto of_block = block_factor(broadcast(kept.maxima[b]), broadcast(batch.max[k]),
                                         broadcast(slopes.factor[k]));
      const auto factor = broadcast(static_cast<T>(of_block[0])), least = least_for<T>(factor);
      const T* exps = kept.exps + begin;
      const T* cap_slopes = kept.cap_slopes ? kept.cap_slopes + begin : nullptr;
      const auto write = [&](auto value) {
        write_block(out + begin, size, past_caches, y - begin, entry, value);
      };
      // by value: behind a reference they might be what was just written to
      const auto plain = [=](int64_t j, int64_t count) {
        return scaled<T>(read_lanes(exps + j, count), factor, least);
      };
      const auto pushed = [=](int64_t j, int64_t count) {
        return plain(j, count) - read_lanes(weight + begin + j, count) * push;
      };
      if (kept.cap_slopes)
        write([=](int64_t j, int64_t count) {
          return (weighted ? pushed(j, count) : plain(j, count)) *
                 read_lanes(cap_slopes + j, count);
        });
      else if (weighted && rows.even)
        write([=](int64_t j, int64_t count) { return plain(j, count) - push; });
      else if (weighted)
        write(pushed);
      else
        write(plain);
    }
  }
};

// ---- tiles --------------------------------------------------------------------------------------

template <typename S>
struct KeptTiles {
  using T = Compute<S>;

  const Rows& rows;
  int64_t count;
  Tile<T>*tiles, *cap_slopes;  // the latter is null where there is no cap
  double (*maxima)[kBatch];
  Batch batch;

  static int64_t tiles_of(int64_t classes) { return (classes + kTileClasses - 1) / kTileClasses; }
  static int64_t bytes(const Rows& rows) {
    const int64_t tiles = sizeof(Tile<T>) * (rows.cap == 0.0 ? 1 : 2);
    return tiles_of(rows.classes) * (tiles + static_cast<int64_t>(sizeof(double[kBatch])));
  }
  KeptTiles(const Rows& rows, void* scratch)
      : rows(rows),
        count(tiles_of(rows.classes)),
        tiles(static_cast<Tile<T>*>(scratch)),
        cap_slopes(rows.cap == 0.0 ? nullptr : tiles + count),
        maxima(reinterpret_cast<double (*)[kBatch]>(tiles + (rows.cap == 0.0 ? 1 : 2) * count)) {}

  void statistics(const Statistics& out, const TileRows& tile, const TileTarget<T>& target) {
    TileSums<T> sums;
    for (int64_t t = 0; t < count; ++t) {
      const int64_t begin = t * kTileClasses, classes = classes_of(t);
      load_tile<S>(rows, tile, begin, classes, tiles[t]);
      adjust_tile<T>(rows, tile, begin, classes, tiles[t], cap_slopes ? cap_slopes + t : nullptr);
      for (int64_t i = 0; i < tile.size; i += kAtOnce * Lanes<T>::count)
        reduce_lanes<true, T>(rows, tiles[t], begin, classes, i, target, batch, sums);
      if (count == 1) break;
      for (int64_t k = 0; k < tile.size; ++k) maxima[t][k] = sums.max[k];
    }
    finish_tile(rows, target, sums, tile.size, batch);
    // few classes do not hide what doubles take; a weighted sum needs them, for the row's offset
    if (count == 1 && rows.weight == nullptr)
      finish_in_own_type(out, tile);
    else
      finish(rows, batch, out, tile.begin, tile.size);
  }

  // False where the factors are too large: nothing was written.
  bool gradient(const Statistics& given, const Slopes& slopes, const Gradient& gradient,
                const TileRows& tile, const TileTarget<T>& target) {
    KeptSlopes<T> kept;
    if (!kept.take(rows, batch, given, slopes, tile.begin, tile.size)) return false;
    const bool weighted = slopes.c.data != nullptr;
    for (int64_t t = 0; t < count; ++t) {
      const int64_t begin = t * kTileClasses, classes = classes_of(t);
      alignas(64) T factor[kBatch];
      tile_factors(t, tile.size, kept, factor);
      for (int64_t i = 0; i < tile.size; i += Lanes<T>::count)
        scale_lanes(t, classes, i, target.at(i), load(factor + i), kept, weighted);
      target.clear_ignored(classes, tiles[t]);
      store_tile<S>(rows, tile, begin, classes, tiles[t], static_cast<S*>(gradient.data),
                    gradient.stream);
    }
    return true;
  }

 private:
  // `finish`; `out` has room for a whole batch.
  void finish_in_own_type(const Statistics& out, const TileRows& tile) {
    for (int64_t k = 0; k < tile.size; k += Lanes<T>::count) {
      const Finished<T> row =
          finished<T>(load_doubles<T>(batch.target_logit + k), load_doubles<T>(batch.max + k),
                      load_doubles<T>(batch.sum + k));
      store_doubles(out.lse + tile.begin + k, row.lse);
      store_doubles(out.log_prob + tile.begin + k, row.log_prob);
      store_doubles(out.prob + tile.begin + k, row.prob);
      store_doubles(out.prob_rest + tile.begin + k, row.prob_rest);
      store_doubles(batch.prob_of_max + k, row.prob_of_max);
    }
  }

  int64_t classes_of(int64_t t) const {
    const int64_t left = rows.classes - t * kTileClasses;
    return left < kTileClasses ? left : kTileClasses;
  }
  const T* weight_of(int64_t t) const {
    return static_cast<const T*>(rows.weight) + t * kTileClasses;
  }

  void tile_factors(int64_t t, int64_t size, const KeptSlopes<T>& slopes, T* factor) const {
    for (int64_t k = 0; k < size; k += Lanes<double>::count) {
      const Vector<double> of_rows = load(slopes.factor + k);
      KeptSlopes<T>::narrow(
          factor + k,
          count == 1 ? of_rows : block_factor(load(maxima[t] + k), load(batch.max + k), of_rows));
    }
  }

  void scale_lanes(int64_t t, int64_t classes, int64_t i, typename Lanes<T>::Bits target,
                   Vector<T> factor, const KeptSlopes<T>& slopes, bool weighted) {
    Tile<T>& tile = tiles[t];
    const Vector<T> least = least_for<T>(factor), entry = load(slopes.entry + i);
    const auto place = target - static_cast<typename BitsOf<T>::type>(t * kTileClasses);
    for (int64_t c = 0; c < classes; ++c) {
      const Vector<T> g = scaled<T>(load(&tile[c][i]), factor, least);
      store(&tile[c][i], place == static_cast<typename BitsOf<T>::type>(c) ? entry : g);
    }
    for (int64_t c = 0; c < classes && weighted; ++c)
      store(&tile[c][i], load(&tile[c][i]) - load(slopes.c + i) * weight_of(t)[c]);
    for (int64_t c = 0; c < classes && cap_slopes; ++c)
      store(&tile[c][i], load(&tile[c][i]) * load(&cap_slopes[t][c][i]));
  }
};

}  // namespace
