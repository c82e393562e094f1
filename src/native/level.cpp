// The row kernels at one instruction-set level. CMake compiles this file once per level, with the
// level's flags and CROSSENTROPY_LEVEL; the object must hold no weak symbols (a test looks).
#include "columns.h"
#include "elements.h"
#include "rows.h"

namespace {

bool across_rows(const Rows& rows) { return rows.inner > 1 || rows.classes <= kFewClasses; }

template <typename S>
void statistics(const Rows& rows, const Statistics& out, int64_t begin, int64_t end) {
  (across_rows(rows) ? statistics_of_columns<S> : statistics_of_rows<S>)(rows, out, begin, end);
}

template <typename S>
void gradient(const Rows& rows, const Statistics& statistics, const Slopes& slopes,
              const Gradient& gradient, int64_t begin, int64_t end) {
  (across_rows(rows) ? gradient_of_columns<S> : gradient_of_rows<S>)(rows, statistics, slopes,
                                                                     gradient, begin, end);
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
    {statistics<float>, statistics<double>, statistics<BFloat16>, statistics<Half>},
    {gradient<float>, gradient<double>, gradient<BFloat16>, gradient<Half>},
    {elements<float>, elements<double>, elements<BFloat16>, elements<Half>},
};
