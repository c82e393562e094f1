// Random rows for the kernels' own test, and what plain loops in double make of them.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "kernels.h"

namespace {

const char* const kTypeNames[kTypes] = {"float32", "float64", "bfloat16", "float16"};
// a few roundings of the arithmetic, and one of what is stored
const double kEpsilon[kTypes] = {1.2e-7, 2.3e-16, 1.2e-7, 1.2e-7};
const double kRounding[kTypes] = {0, 0, 0x1p-8, 0x1p-11};
const double kLeast[kTypes] = {1e-35, 1e-300, 1e-35, 3.1e-8};
const double kLargest[kTypes] = {3.4e38, 1.79e308, 3.38e38, 65504};
const double kInfinity = std::numeric_limits<double>::infinity();
const double kNaN = std::numeric_limits<double>::quiet_NaN();

// ---- numbers in memory --------------------------------------------------------------------------

double from_half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  double size = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
  if (exponent == 31) size = mantissa ? kNaN : kInfinity;
  return bits & 0x8000 ? -size : size;
}

double from_bfloat16(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

// Towards zero, which is a number of the type like any other.
uint16_t to_bfloat16(double value) {
  const float narrow = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  return static_cast<uint16_t>(value == value ? bits >> 16 : 0x7fc0);
}

uint16_t to_half(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double size = std::fabs(value);
  if (value != value) return 0x7e00;
  if (size > 65504) return sign | 0x7c00;
  int exponent;
  std::frexp(size, &exponent);  // size = m 2^exponent, 1/2 <= m < 1
  if (size == 0 || exponent < -13) return sign | static_cast<uint16_t>(std::ldexp(size, 24));
  const int mantissa = static_cast<int>(std::ldexp(size, 11 - exponent)) - 1024;
  return static_cast<uint16_t>(sign | (exponent + 14) << 10 | mantissa);
}

// Bytes that end at a page which may not be touched.
class Guarded {
 public:
  explicit Guarded(int64_t bytes) {
    const int64_t page = sysconf(_SC_PAGESIZE), inner = (bytes / page + 1) * page;
    size_ = static_cast<size_t>(inner + page);
    base_ = static_cast<char*>(
        mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + inner, static_cast<size_t>(page), PROT_NONE)) {
      std::perror("memory");
      std::exit(2);
    }
    data_ = base_ + inner - bytes;
    std::memset(base_, kPattern, static_cast<size_t>(inner));
  }
  ~Guarded() { munmap(base_, size_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }
  bool intact_before() const {
    for (const char* p = base_; p < data_; ++p)
      if (*p != kPattern) return false;
    return true;
  }

 private:
  static constexpr char kPattern = 0x5a;
  char *base_, *data_;
  size_t size_;
};

class Numbers {
 public:
  // With `apart` bytes between the last number and the page; then nothing is aligned.
  Numbers(Type type, int64_t count, int64_t apart = 0)
      : memory_(count * kSizes[type] + apart), type_(type) {}

  double get(int64_t i) const {
    switch (type_) {
      case kFloat32:
        return static_cast<double>(read<float>(i));
      case kFloat64:
        return read<double>(i);
      case kBFloat16:
        return from_bfloat16(read<uint16_t>(i));
      default:
        return from_half(read<uint16_t>(i));
    }
  }
  void set(int64_t i, double value) {
    switch (type_) {
      case kFloat32:
        return write(i, static_cast<float>(value));
      case kFloat64:
        return write(i, value);
      case kBFloat16:
        return write(i, to_bfloat16(value));
      default:
        return write(i, to_half(value));
    }
  }
  void* data() const { return memory_.as<void>(); }
  bool intact_before() const { return memory_.intact_before(); }

 private:
  template <typename T>
  T read(int64_t i) const {
    T value;
    std::memcpy(&value, memory_.as<char>() + i * static_cast<int64_t>(sizeof value), sizeof value);
    return value;
  }
  template <typename T>
  void write(int64_t i, T value) {
    std::memcpy(memory_.as<char>() + i * static_cast<int64_t>(sizeof value), &value, sizeof value);
  }
  Guarded memory_;
  Type type_;
};

// ---- a case -------------------------------------------------------------------------------------

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  int64_t below(int64_t n) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(n)); }
  bool chance(double p) { return static_cast<double>(engine_() >> 11) * 0x1p-53 < p; }
  double normal() { return normal_(engine_); }
  template <size_t N, typename T>
  T one_of(const T (&values)[N]) {
    return values[below(N)];
  }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
};

struct Case {
  Type type;
  Rows rows;
  double temperature;
  bool weighted, per_row, in_place, stream;
  Numbers logits, bias, weight;
  Guarded target, slopes;

  static Case draw(Dice& dice) {
    const int64_t classes_of[] = {1,   2,   3,   4,    5,    7,    8,    9,   10, 15,
                                  16,  17,  31,  32,   33,   47,   63,   64,  65, 100,
                                  127, 128, 129, 1000, 2047, 2048, 2049, 5000};
    const int64_t inner_of[] = {1, 1, 1, 2, 3, 15, 16, 17, 33, 70}, outer_of[] = {1, 2, 3, 5, 67};
    const int64_t classes = dice.one_of(classes_of);
    int64_t inner = dice.one_of(inner_of), outer = dice.one_of(outer_of);
    if (outer * classes * inner > 100000) outer = inner = 2;
    return Case(dice, static_cast<Type>(dice.below(kTypes)), outer, classes, inner);
  }

  Case(Dice& dice, Type type, int64_t outer, int64_t classes, int64_t inner)
      : type(type),
        weighted(dice.chance(0.5)),
        per_row(dice.chance(0.7)),
        in_place(dice.chance(0.3)),
        stream(dice.chance(0.3)),
        logits(type, outer * classes * inner),
        bias(type == kFloat64 ? kFloat64 : kFloat32, classes),
        weight(type == kFloat64 ? kFloat64 : kFloat32, classes),
        target(outer * inner * 8),
        slopes(3 * outer * inner * 8) {
    const double sizes[] = {0, 1e-3, 1, 3, 30, 300}, offsets[] = {0, 0, 30, 3000};
    const double size = dice.one_of(sizes), offset = dice.one_of(offsets);
    const double masked = dice.chance(0.3) ? 0.3 : 0, strange = dice.chance(0.1) ? 0.01 : 0;
    for (int64_t i = 0; i < outer * classes * inner; ++i) {
      logits.set(i, dice.normal() * size + offset);
      if (dice.chance(masked)) logits.set(i, -kInfinity);
      if (dice.chance(strange)) logits.set(i, dice.chance(0.5) ? kNaN : kInfinity);
    }
    double total = 0;
    const bool even = dice.chance(0.3);
    for (int64_t j = 0; j < classes; ++j) {
      bias.set(j, dice.normal());
      weight.set(j, even ? 1 : dice.chance(0.1) ? 0 : std::fabs(dice.normal()) + 0.1);
      total += weight.get(j);
    }
    const int64_t ignore_index = -100;
    for (int64_t i = 0; i < outer * inner; ++i) {
      target.as<int64_t>()[i] = dice.chance(0.1) ? ignore_index : dice.below(classes);
      for (int k = 0; k < 3; ++k) slopes.as<double>()[3 * i + k] = dice.normal();
    }
    temperature = dice.chance(0.3) ? 0.5 + static_cast<double>(dice.below(8)) : 1;
    rows = {logits.data(),
            target.as<int64_t>(),
            outer,
            classes,
            inner,
            ignore_index,
            dice.chance(0.3) ? 20.0 : 0.0,
            1 / temperature,
            dice.chance(0.3) ? bias.data() : nullptr,
            weighted ? weight.data() : nullptr,
            total,
            even};
  }

  int64_t at(int64_t row, int64_t j) const {
    return (row / rows.inner * rows.classes + j) * rows.inner + row % rows.inner;
  }
  double coefficient(int which, int64_t row) const {
    return slopes.as<double>()[which * rows.count() + (per_row ? row : 0)];
  }
  Coefficient stored(int which) const {
    return {slopes.as<double>() + which * rows.count(), per_row};
  }
  std::string name() const {
    return std::string(kTypeNames[type]) + " (" + std::to_string(rows.outer) + ", " +
           std::to_string(rows.classes) + ", " + std::to_string(rows.inner) + ")" +
           (rows.cap != 0 ? " cap" : "") + (rows.bias ? " bias" : "") +
           (rows.scale != 1 ? " temperature" : "") + (weighted ? " weight" : "") +
           (in_place ? " in place"
            : stream ? " streamed"
                     : "");
  }
};

// ---- one row, plainly ---------------------------------------------------------------------------

struct Truth {
  double lse, log_prob, prob, prob_rest, square_rest, weighted_nll = 0;
  int64_t argmax = 0;
  double spread = 0, far = 0;  // of the finite logits as the rule sees them, and from 0
};

double adjusted(const Case& c, int64_t row, int64_t j) {
  double z = c.logits.get(c.at(row, j));
  if (c.rows.cap != 0 && z != -kInfinity) z = c.rows.cap * std::tanh(z / c.rows.cap);
  return z / c.temperature + (c.rows.bias ? c.bias.get(j) : 0);
}

Truth truth_of(const Case& c, int64_t row) {
  const int64_t y = c.rows.target[row];
  Truth t{};
  double top = -kInfinity, low = kInfinity, sum = 0, squares = 0;
  bool strange = false;
  for (int64_t j = 0; j < c.rows.classes; ++j) {
    const double z = adjusted(c, row, j);
    strange |= z != z || z == kInfinity;
    if (z > adjusted(c, row, t.argmax)) t.argmax = j;
    if (j != y) top = std::fmax(top, z);
    if (std::isfinite(z)) low = std::fmin(low, z), t.far = std::fmax(t.far, std::fabs(z));
  }
  const double z_y = adjusted(c, row, y), shift = top == -kInfinity ? 0 : top;
  for (int64_t j = 0; j < c.rows.classes; ++j)
    if (j != y) {
      const double e = std::exp(adjusted(c, row, j) - shift);
      sum += e;
      squares += e * e;
    }
  const double log_sum = sum == 0 ? -kInfinity : std::log(sum), rest = shift + log_sum;
  const double margin = (z_y - shift) - log_sum;
  // -log p = softplus(-margin), by whichever exponential is small
  t.log_prob = margin > 0 ? -std::log1p(std::exp(-margin)) : margin - std::log1p(std::exp(margin));
  if (strange || (z_y == -kInfinity && rest == -kInfinity)) t.log_prob = kNaN;
  t.lse = z_y == -kInfinity ? rest : z_y - t.log_prob;
  t.prob = std::exp(t.log_prob);
  t.prob_rest = -std::expm1(t.log_prob);
  t.square_rest = sum == 0 ? 0 : squares * (t.prob_rest / sum) * (t.prob_rest / sum);
  for (int64_t j = 0; j < c.rows.classes; ++j) {
    const double w = c.weight.get(j);
    if (w != 0) t.weighted_nll += w * (j == y ? -t.log_prob : t.lse - adjusted(c, row, j));
  }
  t.spread = 1 + std::fmin(std::fmax(std::fmax(top, z_y) - low, 0), 745);
  const bool as_given = c.rows.cap == 0 && !c.rows.bias && c.rows.scale == 1;
  if (!as_given) t.spread += t.far + (c.rows.cap != 0 ? 300 : 0);
  return t;
}

// What the slopes in the adjusted logits are multiplied by.
double chain(const Case& c, int64_t row, int64_t j) {
  if (c.rows.cap == 0) return 1 / c.temperature;
  const double decay = std::exp(-2 * std::fabs(c.logits.get(c.at(row, j)) / c.rows.cap));
  return 4 * decay / ((1 + decay) * (1 + decay)) / c.temperature;
}

double gradient_of(const Case& c, const Truth& t, int64_t row, int64_t j) {
  const double a = c.coefficient(0, row), b = c.coefficient(1, row), z = adjusted(c, row, j);
  double slope =
      j == c.rows.target[row] ? (a - b) * t.prob - b * t.prob_rest : a * std::exp(z - t.lse);
  if (c.weighted) slope -= c.coefficient(2, row) * c.weight.get(j);
  return slope * chain(c, row, j);
}

// ---- the comparison -----------------------------------------------------------------------------

int failures = 0;

void expect(bool good, const Kernels& level, const Case& c, uint64_t seed, const char* what,
            int64_t row, double found, double wanted) {
  if (good) return;
  if (++failures <= 20)
    std::printf("%s, %s, seed %llu: %s of row %lld is %.17g, wanted %.17g\n", level.level,
                c.name().c_str(), static_cast<unsigned long long>(seed), what,
                static_cast<long long>(row), found, wanted);
}

bool near(double found, double wanted, double tolerance) {
  return found == wanted || (found != found && wanted != wanted) ||
         std::fabs(found - wanted) <= tolerance;
}

// Numbers that overflow count as one; near the type's end either may.
bool same(double found, double wanted, double tolerance, Type type) {
  const double most = 0.98 * kLargest[type];
  if (std::fabs(found) > most && std::fabs(wanted) > most)
    return std::signbit(found) == std::signbit(wanted);
  return near(found, wanted, tolerance);
}

}  // namespace
