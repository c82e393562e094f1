// The binding. Arrays come as addresses: crossentropy.rows has checked type, shape and layout, and
// nothing else calls this module.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include <atomic>
#include <stdexcept>
#include <string>
#include <utility>

#include "kernels.h"
#include "levels.h"
#include "parallel.h"
#include "training.h"

namespace nb = nanobind;

#define CROSSENTROPY_DECLARE(level) extern "C" const Kernels kernels_##level;
#define CROSSENTROPY_ENTRY(level) &kernels_##level,
CROSSENTROPY_LEVELS(CROSSENTROPY_DECLARE)

namespace {

const Kernels* const kLevels[] = {CROSSENTROPY_LEVELS(CROSSENTROPY_ENTRY)};  // best first

const Kernels* kernels = nullptr;

std::vector<std::string> levels() {
  std::vector<std::string> names;
  for (const Kernels* k : kLevels)
    if (k->supported()) names.emplace_back(k->level);
  return names;
}

void select_level(const std::string& name) {
  for (const Kernels* k : kLevels) {
    if (name != k->level) continue;
    if (!k->supported()) throw std::invalid_argument("this CPU does not support level " + name);
    kernels = k;
    return;
  }
  throw std::invalid_argument("no such level: " + name);
}

template <typename T>
T* pointer(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

// What Rows holds, as Python passes it.
Rows rows_of(uintptr_t logits, uintptr_t target, int64_t outer, int64_t classes, int64_t inner,
             int64_t ignore_index, double cap, double scale, uintptr_t bias, uintptr_t weight,
             double weight_total) {
  return {pointer<const void>(logits),
          pointer<const int64_t>(target),
          outer,
          classes,
          inner,
          ignore_index,
          cap,
          scale,
          pointer<const void>(bias),
          pointer<const void>(weight),
          weight_total};
}

Statistics statistics_at(uintptr_t table, int64_t count, bool weighted, uintptr_t argmax) {
  double* base = pointer<double>(table);
  return {base,
          base + count,
          base + 2 * count,
          base + 3 * count,
          weighted ? base + 4 * count : nullptr,
          pointer<int64_t>(argmax)};
}

int64_t first_bad_target(const Rows& rows) {
  for (int64_t i = 0; i < rows.count(); ++i) {
    const int64_t y = rows.target[i];
    if ((y < 0 || y >= rows.classes) && y != rows.ignore_index) return i;
  }
  return -1;
}

// The index of the first row whose target is out of range (then nothing was written), or -1.
int64_t statistics(int type, uintptr_t logits, uintptr_t target, int64_t outer, int64_t classes,
                   int64_t inner, int64_t ignore_index, double cap, double scale, uintptr_t bias,
                   uintptr_t weight, double weight_total, uintptr_t table, uintptr_t argmax,
                   int64_t threads) {
  nb::gil_scoped_release released;
  const Rows rows = rows_of(logits, target, outer, classes, inner, ignore_index, cap, scale, bias,
                            weight, weight_total);
  const int64_t bad = first_bad_target(rows);
  if (bad >= 0) return bad;
  const Statistics result = statistics_at(table, rows.count(), weight != 0, argmax);
  over_rows(rows.count(), classes, threads, [&](int64_t begin, int64_t end) {
    kernels->statistics[type](rows, result, begin, end);
  });
  return -1;
}

// Page faults dominate a large fresh gradient; huge pages make them 512 times fewer.
void advise_huge_pages(uintptr_t address, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = uintptr_t{1} << 21;
  const uintptr_t begin = (address + page - 1) & ~(page - 1);
  const uintptr_t end = (address + static_cast<uintptr_t>(bytes)) & ~(page - 1);
  if (end > begin) madvise(pointer<void>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)address, (void)bytes;
#endif
}

constexpr int64_t kSizes[kTypes] = {4, 8, 2, 2};

// A gradient of this size is no longer in any cache when it is read again.
constexpr int64_t kStreamBytes = int64_t{1} << 25;

void gradient(int type, uintptr_t logits, uintptr_t target, int64_t outer, int64_t classes,
              int64_t inner, int64_t ignore_index, double cap, double scale, uintptr_t bias,
              uintptr_t weight, uintptr_t table, uintptr_t a, bool a_per_row, uintptr_t b,
              bool b_per_row, uintptr_t c, bool c_per_row, uintptr_t out, bool fresh,
              int64_t threads) {
  nb::gil_scoped_release released;
  const Rows rows =
      rows_of(logits, target, outer, classes, inner, ignore_index, cap, scale, bias, weight, 0.0);
  const Statistics given = statistics_at(table, rows.count(), false, 0);
  const Slopes slopes = {{pointer<const double>(a), a_per_row},
                         {pointer<const double>(b), b_per_row},
                         {pointer<const double>(c), c_per_row}};
  const int64_t bytes = rows.count() * classes * kSizes[type];
  if (fresh) advise_huge_pages(out, bytes);
  const Gradient result = {pointer<void>(out), !fresh && out != logits && bytes >= kStreamBytes};
  over_rows(rows.count(), classes, threads, [&](int64_t begin, int64_t end) {
    kernels->gradient[type](rows, given, slopes, result, begin, end);
  });
}

// The sum of the losses of `count` elements, and whether a target may be outside [0, 1]. Chunks are
// what weights by class repeat in; sums are theirs, whatever the number of threads.
std::pair<double, bool> elements(int type, uintptr_t logits, uintptr_t target, uintptr_t weight,
                                 bool full_weight, uintptr_t pos_weight, bool full_pos_weight,
                                 int64_t count, int64_t chunk, double smoothing, double ignore,
                                 int curve, double a, double b, double c, double positive,
                                 double negative, double scale, uintptr_t loss, uintptr_t gradient,
                                 bool fresh, int64_t threads) {
  nb::gil_scoped_release released;
  const Elements given = {pointer<const void>(logits),
                          pointer<const void>(target),
                          {pointer<const void>(weight), full_weight},
                          {pointer<const void>(pos_weight), full_pos_weight},
                          smoothing,
                          ignore};
  const BinaryRule rule = {static_cast<Curve>(curve), a, b, c, positive, negative};
  const int64_t bytes = count * kSizes[type];
  if (fresh) advise_huge_pages(gradient, bytes);
  const ElementLosses out = {pointer<void>(loss), pointer<void>(gradient), scale,
                             !fresh && gradient != logits && bytes >= kStreamBytes};
  const int64_t chunks = (count + chunk - 1) / chunk;
  std::vector<ElementSum> sums(static_cast<size_t>(chunks));
  // whoever is free takes the next chunk: a thread may start late
  std::atomic<int64_t> next{0};
  over_rows(chunks, chunk, threads, [&](int64_t, int64_t) {
    for (int64_t k; (k = next.fetch_add(1)) < chunks;) {
      const int64_t begin = k * chunk, end = begin + chunk < count ? begin + chunk : count;
      sums[static_cast<size_t>(k)] = kernels->elements[type](given, rule, out, begin, end);
    }
  });
  ElementSum total = {0.0, false};
  for (const ElementSum& sum : sums) {
    total.loss += sum.loss;
    total.suspect |= sum.suspect;
  }
  return {total.loss, total.suspect};
}

// A weight of 1 for each class, in the logits' type.
std::vector<double> ones_of(Type type, int64_t classes) {
  std::vector<double> ones(static_cast<size_t>(classes), 1.0);
  if (type == kFloat64) return ones;
  auto* narrow = reinterpret_cast<float*>(ones.data());
  for (int64_t j = 0; j < classes; ++j) narrow[j] = 1.0f;
  return ones;
}

// The training loss and, unless `out` is null, its gradient, on this thread. The loss is written in
// the logits' type, float32 or float64. Returns as `statistics`.
int64_t train(int type, uintptr_t logits, uintptr_t target, int64_t count, int64_t classes,
              int64_t ignore_index, double scale, uintptr_t weight, double smoothing, double z_loss,
              bool mean, uintptr_t loss, uintptr_t out) {
  Rows rows = rows_of(logits, target, count, classes, 1, ignore_index, 0.0, scale, 0, weight,
                      static_cast<double>(classes));
  const int64_t bad = first_bad_target(rows);
  if (bad >= 0) return bad;
  const Type of = static_cast<Type>(type);
  std::vector<double> ones;
  if (weight == 0 && smoothing != 0) {
    ones = ones_of(of, classes);
    rows.weight = ones.data();
  } else if (weight != 0) {
    rows.weight_total = 0.0;
    for (int64_t j = 0; j < classes; ++j) rows.weight_total += class_weight(rows, of, j);
  }
  const double value = evaluate(*kernels, of, rows, {smoothing, z_loss, mean}, pointer<void>(out));
  if (of == kFloat64)
    *pointer<double>(loss) = value;
  else
    *pointer<float>(loss) = static_cast<float>(value);
  return -1;
}

}  // namespace

NB_MODULE(_native, m) {
  const auto supported = levels();
  if (supported.empty()) throw std::runtime_error("this CPU supports none of the compiled levels");
  select_level(supported.front());
  m.def("levels", &levels, "The compiled levels that this CPU supports, best first.");
  m.def("level", [] { return std::string(kernels->level); }, "The level in use.");
  m.def("select_level", &select_level);
  m.def("statistics", &statistics);
  m.def("gradient", &gradient);
  m.def("train", &train);
  m.def("elements", &elements);
}
