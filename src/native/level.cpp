// The row kernels at one instruction-set level. CMake compiles this file once per level, with the
// level's flags and CROSSENTROPY_LEVEL; the object must hold no weak symbols (a test looks).
#include "elements.h"
#include "moments.h"
#include "soft.h"
#include "training.h"

namespace {

int64_t first_bad_target(const Rows& rows, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const int64_t y = rows.target[i];
    if ((y < 0 || y >= rows.classes) && y != rows.ignore_index) return i;
  }
  return -1;
}

int64_t check(const Rows& rows, int64_t* counted) {
  constexpr int64_t kSome = 4096;
  *counted = rows.count();
  for (int64_t begin = 0; begin < rows.count(); begin += kSome) {
    const int64_t end = begin + kSome < rows.count() ? begin + kSome : rows.count();
    int64_t ignored = 0, bad = 0;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t y = rows.target[i], skip = y == rows.ignore_index;
      ignored += skip;
      bad |= ((y < 0) | (y >= rows.classes)) & (skip ^ 1);
    }
    if (bad != 0) return first_bad_target(rows, begin, end);
    *counted -= ignored;
  }
  return -1;
}

int supported() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#elif defined(__AVX2__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("f16c");
#elif defined(__SSE4_2__)
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
#else
  return 1;
#endif
}

}  // namespace

#define CROSSENTROPY_JOIN(a, b) a##b
#define CROSSENTROPY_NAME(level) CROSSENTROPY_JOIN(kernels_, level)
#define CROSSENTROPY_QUOTE(level) #level
#define CROSSENTROPY_STRING(level) CROSSENTROPY_QUOTE(level)

extern "C" const Kernels CROSSENTROPY_NAME(CROSSENTROPY_LEVEL);
extern "C" const Kernels CROSSENTROPY_NAME(CROSSENTROPY_LEVEL) = {
    CROSSENTROPY_STRING(CROSSENTROPY_LEVEL),
    supported,
    check,
    {statistics<float>, statistics<double>, statistics<BFloat16>, statistics<Half>},
    {gradient<float>, gradient<double>, gradient<BFloat16>, gradient<Half>},
    {train<float>, train<double>, train<BFloat16>, train<Half>},
    {soft<float>, soft<double>, soft<BFloat16>, soft<Half>},
    {soft_mass<float>, soft_mass<double>, soft_mass<BFloat16>, soft_mass<Half>},
    {moments<float>, moments<double>, moments<BFloat16>, moments<Half>},
    {elements<float>, elements<double>, elements<BFloat16>, elements<Half>},
};
