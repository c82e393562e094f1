// Vectors of one instruction-set level, by the compiler's vector extensions.
//
// Included by level.cpp only, once per level: everything is static, so that no linker can hand the
// code of one level to a CPU of another.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __SSE2__
#include <immintrin.h>
#endif

#ifndef CROSSENTROPY_VECTOR_BYTES
#define CROSSENTROPY_VECTOR_BYTES 16
#endif

// Of what loops are made of: called, it would load its constants anew each time.
#define CROSSENTROPY_INLINE inline __attribute__((always_inline))

namespace {

template <typename T>
struct BitsOf;
template <>
struct BitsOf<float> {
  using type = int32_t;
};
template <>
struct BitsOf<double> {
  using type = int64_t;
};

template <typename T>
struct Lanes {
  static constexpr int64_t count = CROSSENTROPY_VECTOR_BYTES / sizeof(T);
  typedef T Vector __attribute__((vector_size(CROSSENTROPY_VECTOR_BYTES)));
  typedef typename BitsOf<T>::type Bits __attribute__((vector_size(CROSSENTROPY_VECTOR_BYTES)));
};

template <typename T>
using Vector = typename Lanes<T>::Vector;

template <typename T>
CROSSENTROPY_INLINE Vector<T> load(const T* from) {
  Vector<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <typename T>
CROSSENTROPY_INLINE void store(T* to, Vector<T> v) {
  std::memcpy(to, &v, sizeof v);
}

// Past the caches, to an aligned address: what is written once and not read soon. `fence` before
// another thread may look.
template <typename T>
inline void stream(T* to, Vector<T> v) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)v);
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)v);
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(to), (__m128i)v);
#else
  store(to, v);
#endif
}

// As many 16-bit elements as a vector has floats.
inline void stream_half(void* to, const void* from) {
#if defined(__AVX512F__)
  _mm256_stream_si256(static_cast<__m256i*>(to),
                      _mm256_loadu_si256(static_cast<const __m256i*>(from)));
#elif defined(__AVX2__)
  _mm_stream_si128(static_cast<__m128i*>(to), _mm_loadu_si128(static_cast<const __m128i*>(from)));
#elif defined(__SSE2__) && defined(__x86_64__)
  long long bits;
  std::memcpy(&bits, from, sizeof bits);
  _mm_stream_si64(static_cast<long long*>(to), bits);
#else
  std::memcpy(to, from, CROSSENTROPY_VECTOR_BYTES / 2);
#endif
}

inline void fence() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

template <typename T>
inline Vector<T> broadcast(T x) {
  return Vector<T>{} + x;
}

// A vector of N lanes as two halves: what is done to part of a vector, or across its lanes, is done
// half by half. (A memcpy of a length that is not constant would be a call.)
template <typename T, int64_t N>
struct Part {
  typedef T Whole __attribute__((vector_size(N * sizeof(T))));
  using Half = Part<T, N / 2>;

  // By a union, which keeps the vector in its register; memcpy from it would not.
  union Halves {
    Whole whole;
    typename Half::Whole half[2];
  };
  static typename Half::Whole low(Whole v) { return Halves{v}.half[0]; }
  static typename Half::Whole high(Whole v) { return Halves{v}.half[1]; }
  static Whole load(const T* from, int64_t count, T fill) {
    Halves v;
    if (count >= N / 2) {
      std::memcpy(&v.half[0], from, sizeof v.half[0]);
      v.half[1] = Half::load(from + N / 2, count - N / 2, fill);
    } else {
      v.half[0] = Half::load(from, count, fill);
      for (int64_t k = 0; k < N / 2; ++k) v.half[1][k] = fill;
    }
    return v.whole;
  }
  static void store(T* to, Whole v, int64_t count) {
    if (count >= N / 2) {
      const auto half = low(v);
      std::memcpy(to, &half, sizeof half);
      Half::store(to + N / 2, high(v), count - N / 2);
    } else {
      Half::store(to, low(v), count);
    }
  }
  static T max(Whole v) {
    const auto a = low(v), b = high(v);
    return Half::max(b > a ? b : a);
  }
  static T add(Whole v) { return Half::add(low(v) + high(v)); }
};

template <typename T>
struct Part<T, 1> {
  typedef T Whole __attribute__((vector_size(sizeof(T))));
  static Whole load(const T* from, int64_t count, T fill) {
    return Whole{count > 0 ? *from : fill};
  }
  static void store(T* to, Whole v, int64_t count) {
    if (count > 0) *to = v[0];
  }
  static T max(Whole v) { return v[0]; }
  static T add(Whole v) { return v[0]; }
};

#if defined(__AVX512F__)
// By masks where the CPU has them. Others by halves.
inline uint32_t first_lanes(int64_t count) { return (uint32_t{1} << count) - 1; }
inline Vector<float> load_part(const float* from, int64_t count, float fill) {
  const auto mask = static_cast<__mmask16>(first_lanes(count));
  return (Vector<float>)_mm512_mask_loadu_ps(_mm512_set1_ps(fill), mask, from);
}
inline Vector<double> load_part(const double* from, int64_t count, double fill) {
  const auto mask = static_cast<__mmask8>(first_lanes(count));
  return (Vector<double>)_mm512_mask_loadu_pd(_mm512_set1_pd(fill), mask, from);
}
inline void store_part(float* to, Vector<float> v, int64_t count) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>(first_lanes(count)), (__m512)v);
}
inline void store_part(double* to, Vector<double> v, int64_t count) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>(first_lanes(count)), (__m512d)v);
}
#endif

// The first `count` elements at `from`, fewer than there are lanes; the other lanes are `fill`.
template <typename T>
inline Vector<T> load_part(const T* from, int64_t count, T fill) {
  return Part<T, Lanes<T>::count>::load(from, count, fill);
}

// The first `count` lanes, fewer than there are.
template <typename T>
inline void store_part(T* to, Vector<T> v, int64_t count) {
  Part<T, Lanes<T>::count>::store(to, v, count);
}

// NaN lanes are passed over.
template <typename T>
inline T reduce_max(Vector<T> v) {
  return Part<T, Lanes<T>::count>::max(v);
}

// Lanes are added in a fixed tree, in double: the same sum whatever the caller's thread count.
inline double reduce_add(Vector<double> v) { return Part<double, Lanes<double>::count>::add(v); }

// A vector in doubles: as many vectors of them as it takes.
struct Doubles {
  Vector<double> low, high;
};
inline Doubles widened(Vector<float> v) {
  using Floats = Part<float, Lanes<float>::count>;
  return {__builtin_convertvector(Floats::low(v), Vector<double>),
          __builtin_convertvector(Floats::high(v), Vector<double>)};
}

inline void store_doubles(double* to, Vector<double> v) { store(to, v); }
inline void store_doubles(double* to, Vector<float> v) {
  const auto [low, high] = widened(v);
  store(to, low);
  store(to + Lanes<double>::count, high);
}

// As many doubles as a vector of these has lanes, rounded to them.
template <typename T>
inline Vector<T> load_doubles(const double* from) {
  typedef double Wide __attribute__((vector_size(Lanes<T>::count * sizeof(double))));
  Wide wide;
  std::memcpy(&wide, from, sizeof wide);
  return __builtin_convertvector(wide, Vector<T>);
}

// In doubles, the halves of the lanes added.
inline Vector<double> in_doubles(Vector<double> v) { return v; }
inline Vector<double> in_doubles(Vector<float> v) {
  const auto [low, high] = widened(v);
  return low + high;
}

inline double reduce_add(Vector<float> v) { return reduce_add(in_doubles(v)); }

}  // namespace
