// The binding. Arrays come as addresses: crossentropy.rows has checked type, shape and layout, and
// nothing else calls this module.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <atomic>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "evaluate.h"
#include "kernels.h"
#include "levels.h"
#include "memory.h"
#include "parallel.h"
#include "score.h"
#include "tensor_batch.h"
#include "train.h"

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
          weight_total,
          false};
}

Statistics statistics_at(uintptr_t table, int64_t count, bool weighted, uintptr_t argmax = 0,
                         uintptr_t top_prob = 0, uintptr_t square_rest = 0) {
  double* base = pointer<double>(table);
  return {base,
          base + count,
          base + 2 * count,
          base + 3 * count,
          weighted ? base + 4 * count : nullptr,
          pointer<int64_t>(argmax),
          pointer<double>(top_prob),
          pointer<double>(square_rest)};
}

// The index of the first row whose target is out of range (then nothing was written), or -1.
int64_t statistics(int type, uintptr_t logits, uintptr_t target, int64_t outer, int64_t classes,
                   int64_t inner, int64_t ignore_index, double cap, double scale, uintptr_t bias,
                   uintptr_t weight, double weight_total, uintptr_t table, uintptr_t argmax,
                   uintptr_t top_prob, uintptr_t square_rest, int64_t threads) {
  nb::gil_scoped_release released;
  const Rows rows = rows_of(logits, target, outer, classes, inner, ignore_index, cap, scale, bias,
                            weight, weight_total);
  int64_t counted;
  const int64_t bad = kernels->check(rows, &counted);
  if (bad >= 0) return bad;
  const Statistics result =
      statistics_at(table, rows.count(), weight != 0, argmax, top_prob, square_rest);
  over_rows(rows, threads, [&](int64_t begin, int64_t end) {
    kernels->statistics[type](rows, result, begin, end);
  });
  return -1;
}

using Bytes = nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>>;

// So many bytes, and whether they were never written to; None where there is no such memory.
nb::object memory(size_t bytes) {
  const Block block = kept_memory().take(bytes);
  if (block.data == nullptr) return nb::none();
  const nb::capsule owner(new Block(block), [](void* owned) noexcept {
    const std::unique_ptr<Block> mine(static_cast<Block*>(owned));
    kept_memory().give_back(*mine);
  });
  return nb::make_tuple(Bytes(block.data, {bytes}, owner), block.fresh);
}

// A gradient of this size is hardly in a cache any more when it is read again.
constexpr int64_t kStreamBytes = int64_t{1} << 23;

// Where the gradient of so many logits goes; fresh memory is prepared for it.
Gradient gradient_at(uintptr_t out, uintptr_t logits, int64_t count, int type, bool fresh) {
  const int64_t bytes = count * kSizes[type];
  if (fresh && out != 0) advise_huge_pages(out, static_cast<size_t>(bytes));
  return {pointer<void>(out), !fresh && out != logits && bytes >= kStreamBytes};
}

void gradient(int type, uintptr_t logits, uintptr_t target, int64_t outer, int64_t classes,
              int64_t inner, int64_t ignore_index, double cap, double scale, uintptr_t bias,
              uintptr_t weight, uintptr_t table, uintptr_t a, bool a_per_row, uintptr_t b,
              bool b_per_row, uintptr_t c, bool c_per_row, uintptr_t out, bool fresh,
              int64_t threads) {
  nb::gil_scoped_release released;
  const Rows rows =
      rows_of(logits, target, outer, classes, inner, ignore_index, cap, scale, bias, weight, 0.0);
  const Statistics given = statistics_at(table, rows.count(), false);
  const Slopes slopes = {{pointer<const double>(a), a_per_row},
                         {pointer<const double>(b), b_per_row},
                         {pointer<const double>(c), c_per_row}};
  const Gradient result = gradient_at(out, logits, rows.count() * classes, type, fresh);
  write_gradient(*kernels, static_cast<Type>(type), rows, given, slopes, result, threads);
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
  const Gradient result = gradient_at(gradient, logits, count, type, fresh);
  const ElementLosses out = {pointer<void>(loss), result.data, scale, result.stream};
  const int64_t chunks = (count + chunk - 1) / chunk;
  std::vector<ElementSum> sums(static_cast<size_t>(chunks));
  over_rows(chunks, chunk, threads, [&](int64_t first, int64_t last) {
    for (int64_t k = first; k < last; ++k) {
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

// As `statistics` returns, and the training loss. Its gradient goes to `out`, unless that is null.
std::pair<int64_t, double> train_at(const TrainNumbers& numbers, int type, uintptr_t logits,
                                    uintptr_t target, int64_t outer, int64_t classes, int64_t inner,
                                    double upstream, uintptr_t out, bool fresh, uintptr_t weight,
                                    uintptr_t bias, uintptr_t class_weight, uintptr_t sample_weight,
                                    int64_t threads) {
  nb::gil_scoped_release released;
  const Rows rows = rows_of(logits, target, outer, classes, inner, 0, 0.0, 1.0, 0, 0, 0.0);
  const TrainArrays arrays = {pointer<const void>(weight), pointer<const void>(bias),
                              pointer<const void>(class_weight),
                              pointer<const double>(sample_weight)};
  const Gradient gradient = gradient_at(out, logits, rows.count() * classes, type, fresh);
  return train(*kernels, numbers, arrays, static_cast<Type>(type), rows, upstream, gradient,
               threads);
}

// The loss of a batch of tensors and its gradient, or None, as tensors; the loss of 16-bit logits
// in double. The index of a row instead whose target is out of range; None where something in the
// batch is not plain.
nb::object train_tensors(const TrainNumbers& numbers, const Tensors& tensors, nb::handle logits,
                         nb::handle target, nb::handle class_weight, nb::handle bias,
                         nb::handle sample_weight, bool wants_gradient, int64_t threads) {
  TensorBatch batch;
  if (!batch.read(tensors, logits, target, class_weight, bias, sample_weight)) return nb::none();
  const TensorView& z = batch.logits();
  const NewTensor loss = tensors.make(z.type == kFloat32 ? kFloat32 : kFloat64, nullptr, 0);
  const NewTensor gradient =
      wants_gradient ? tensors.make(z.type, z.shape, z.ndim) : NewTensor{nb::none()};
  std::pair<int64_t, double> result;
  {
    nb::gil_scoped_release released;
    const auto address = [](const void* data) { return reinterpret_cast<uintptr_t>(data); };
    const Gradient to =
        gradient_at(address(gradient.data), address(z.data), z.count(), z.type, gradient.fresh);
    result = train(*kernels, numbers, batch.arrays(numbers.smoothing != 0), z.type, batch.rows(),
                   1.0, to, threads);
  }
  if (result.first >= 0) return nb::int_(result.first);
  if (z.type == kFloat32)
    *static_cast<float*>(loss.data) = static_cast<float>(result.second);
  else
    *static_cast<double*>(loss.data) = result.second;
  return nb::make_tuple(loss.object, gradient.object);
}

// `over_rows` with a body that says whether there was memory for it.
template <typename Body>
void over_rows_with_memory(int64_t count, int64_t classes, int64_t threads, const Body& body) {
  std::atomic<bool> complete{true};
  over_rows(count, classes, threads, [&](int64_t begin, int64_t end) {
    if (!body(begin, end)) complete = false;
  });
  if (!complete) throw std::bad_alloc();
}

constexpr int64_t kSoftRowCost = 256;  // elements that a row costs beside its own

// The losses of rows with soft targets to `losses`, and their gradient times `factor` to `out`,
// unless that is null.
void soft(int type, uintptr_t logits, int64_t count, int64_t classes, double cap, double scale,
          uintptr_t bias, uintptr_t target, bool is_teacher, double teacher_scale,
          uintptr_t class_weight, uintptr_t prior, double keep, double spread, double z_loss,
          uintptr_t mask, uintptr_t row_factor, double factor, uintptr_t losses, uintptr_t out,
          bool fresh, int64_t threads) {
  nb::gil_scoped_release released;
  const Rows rows = rows_of(logits, 0, count, classes, 1, 0, cap, scale, bias, 0, 0.0);
  const SoftTarget given = {pointer<const void>(target),
                            is_teacher,
                            teacher_scale,
                            pointer<const void>(class_weight),
                            pointer<const void>(prior),
                            keep,
                            spread,
                            z_loss,
                            pointer<const uint8_t>(mask),
                            pointer<const double>(row_factor)};
  const Gradient result = gradient_at(out, logits, count * classes, type, fresh);
  over_rows_with_memory(count, 2 * classes + kSoftRowCost, threads,
                        [&](int64_t begin, int64_t end) {
                          return kernels->soft[type](rows, given, factor, result, begin, end,
                                                     pointer<double>(losses));
                        });
}

// Lanes cost more here than elsewhere: three sums beside an exponential.
constexpr int64_t kMomentsCost = 2;

// The moments of each row, as (3, rows) doubles to `table`.
void moments(int type, uintptr_t logits, int64_t count, int64_t classes, double beta,
             uintptr_t table, int64_t threads) {
  nb::gil_scoped_release released;
  const Rows rows = rows_of(logits, 0, count, classes, 1, 0, 0.0, 1.0, 0, 0, 0.0);
  double* base = pointer<double>(table);
  const Moments out = {beta, base, base + count, base + 2 * count};
  over_rows(count, kMomentsCost * classes, threads,
            [&](int64_t begin, int64_t end) { kernels->moments[type](rows, out, begin, end); });
}

// The mass of each row's target, sum_j class_weight_j t_j, to `masses`.
void soft_mass(int type, uintptr_t target, int64_t count, int64_t classes, uintptr_t class_weight,
               uintptr_t mask, uintptr_t masses, int64_t threads) {
  nb::gil_scoped_release released;
  const Rows rows = rows_of(0, 0, count, classes, 1, 0, 0.0, 1.0, 0, 0, 0.0);
  SoftTarget given = {};
  given.data = pointer<const void>(target);
  given.class_weight = pointer<const void>(class_weight);
  given.mask = pointer<const uint8_t>(mask);
  over_rows_with_memory(count, classes, threads, [&](int64_t begin, int64_t end) {
    return kernels->soft_mass[type](rows, given, begin, end, pointer<double>(masses));
  });
}

template <typename T>
std::vector<T*> pointers(const std::vector<uintptr_t>& addresses) {
  std::vector<T*> all;
  for (const uintptr_t address : addresses) all.push_back(pointer<T>(address));
  return all;
}

// Adds the scores of rows to sums, `chunk` rows at a time. The index of the first row that is no
// prediction, from whose chunk on nothing was added, or -1. Logits are rows one after the other,
// unless each class has an address; of the sums, counts come first, in the order of their struct.
int64_t score(int type, uintptr_t logits, const std::vector<uintptr_t>& columns, uintptr_t target,
              uintptr_t weights, int64_t count, int64_t classes, int64_t chunk,
              const std::array<uintptr_t, 2>& counts, const std::array<uintptr_t, 6>& by_class,
              uintptr_t squares, uintptr_t cells, int64_t cell_count, uintptr_t confusion,
              int64_t threads) {
  nb::gil_scoped_release released;
  const ScoredLogits given = {pointer<const char>(logits), pointers<const char>(columns), classes,
                              static_cast<Type>(type), kSizes[type]};
  const ScoreSums sums = {pointer<int64_t>(counts[0]),
                          pointer<int64_t>(counts[1]),
                          pointer<double>(by_class[0]),
                          pointer<double>(by_class[1]),
                          pointer<double>(by_class[2]),
                          pointer<double>(by_class[3]),
                          pointer<double>(by_class[4]),
                          pointer<double>(by_class[5]),
                          pointer<SquareSums>(squares),
                          pointer<CellSums>(cells),
                          pointer<double>(confusion),
                          classes,
                          cell_count};
  return add_scores(*kernels, given, pointer<const int64_t>(target), pointer<const double>(weights),
                    count, chunk, sums, threads);
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
  nb::class_<TrainNumbers>(m, "TrainNumbers")
      .def(nb::init<int64_t, double, double, const std::vector<std::array<double, 4>>&, double,
                    double, double, bool, double, bool>());
  nb::class_<Tensors>(m, "Tensors")
      .def(nb::init<const nb::capsule&, const nb::object&, const nb::object&>());
  m.def("train", &train_at);
  const auto perhaps = nb::arg().none();
  m.def("train_tensors", &train_tensors, nb::arg(), nb::arg(), perhaps, perhaps, perhaps, perhaps,
        perhaps, nb::arg(), nb::arg());
  m.def("soft", &soft);
  m.def("soft_mass", &soft_mass);
  m.def("moments", &moments);
  m.def("score", &score);
  m.def("memory", &memory);
  m.def("empty_cache", [] { kept_memory().clear(); });
  m.def("elements", &elements);
}
