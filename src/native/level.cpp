// The row kernels at one instruction-set level. CMake compiles this file once per level, with the
// level's flags and CROSSENTROPY_LEVEL; the object must hold no weak symbols (a test looks).
#include "rows.h"

namespace {

template <typename T>
void statistics(const Rows& rows, const Statistics& out, int64_t begin, int64_t end) {
  if (rows.bias)
    (rows.weight ? statistics_of_rows<T, true, true>
                 : statistics_of_rows<T, true, false>)(rows, out, begin, end);
  else
    (rows.weight ? statistics_of_rows<T, false, true>
                 : statistics_of_rows<T, false, false>)(rows, out, begin, end);
}

template <typename T>
void gradient(const Rows& rows, const Statistics& statistics, const Slopes& slopes, void* out,
              int64_t begin, int64_t end) {
  const bool weighted = slopes.c.data != nullptr;
  if (rows.bias)
    (weighted ? gradient_of_rows<T, true, true>
              : gradient_of_rows<T, true, false>)(rows, statistics, slopes, out, begin, end);
  else
    (weighted ? gradient_of_rows<T, false, true>
              : gradient_of_rows<T, false, false>)(rows, statistics, slopes, out, begin, end);
}

int supported() {
#if defined(__AVX512F__)
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#elif defined(__AVX2__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
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
    statistics<float>,
    statistics<double>,
    gradient<float>,
    gradient<double>,
};
