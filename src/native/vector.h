// Vectors of one instruction-set level, by the compiler's vector extensions, and exp on them.
//
// Included by level.cpp only, once per level: everything is static, so that no linker can hand the
// code of one level to a CPU of another.
#pragma once

#include <cstdint>
#include <cstring>

#ifndef CROSSENTROPY_VECTOR_BYTES
#define CROSSENTROPY_VECTOR_BYTES 16
#endif

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
inline Vector<T> load(const T* from) {
  Vector<T> v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

template <typename T>
inline void store(T* to, Vector<T> v) {
  std::memcpy(to, &v, sizeof v);
}

template <typename T>
inline Vector<T> broadcast(T x) {
  return Vector<T>{} + x;
}

// The first `count` elements at `from`, the other lanes `fill`.
template <typename T>
inline Vector<T> load_part(const T* from, int64_t count, T fill) {
  Vector<T> v = broadcast<T>(fill);
  std::memcpy(&v, from, static_cast<size_t>(count) * sizeof(T));
  return v;
}

template <typename T>
inline void store_part(T* to, Vector<T> v, int64_t count) {
  std::memcpy(to, &v, static_cast<size_t>(count) * sizeof(T));
}

// exp's constants: 2^n exp(r) with |r| <= ln2/2 and exp(r) interpolated at Chebyshev nodes.
template <typename T>
struct Exp;
template <>
struct Exp<float> {
  static constexpr int mantissa_bits = 23;
  static constexpr int32_t bias = 127;
  static constexpr float round = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float lowest = -86.5f, highest = 88.72283f;
  // relative error of the polynomial: 2.5e-9
  static constexpr float coefficients[] = {1.0f,           1.0000000377f,  0.5000000047f,
                                           0.16666415515f, 0.04166635290f, 0.00837512640f,
                                           0.00139411084f};
};
template <>
struct Exp<double> {
  static constexpr int mantissa_bits = 52;
  static constexpr int64_t bias = 1023;
  static constexpr double round = 6755399441055744.0;
  static constexpr double ln2_high = 0.693147180369123816490, ln2_low = 1.90821492927058770002e-10;
  static constexpr double lowest = -708.0, highest = 709.782712893384;
  // relative error of the polynomial: 4.2e-18
  static constexpr double coefficients[] = {1.0,
                                            1.0,
                                            0.50000000000000183855,
                                            0.16666666666666680806,
                                            0.041666666666488095495,
                                            0.0083333333333196006109,
                                            0.0013888888952314774652,
                                            0.00019841269890047113707,
                                            2.4801485482328492419e-05,
                                            2.7557240918578969823e-06,
                                            2.7632639639041029749e-07,
                                            2.5110037605963777712e-08};
};

// Below `lowest` 0 (no subnormal result), above `highest` inf, NaN stays NaN.
template <typename T>
inline Vector<T> exp(Vector<T> x) {
  using E = Exp<T>;
  using Bits = typename Lanes<T>::Bits;
  constexpr T log2e = static_cast<T>(1.4426950408889634074);
  constexpr int degree = sizeof(E::coefficients) / sizeof(T) - 1;
  const Vector<T> shifted = x * log2e + E::round;
  const Vector<T> n = shifted - E::round;
  const Vector<T> r = (x - n * E::ln2_high) - n * E::ln2_low;
  Vector<T> p = broadcast<T>(E::coefficients[degree]);
  for (int k = degree - 1; k >= 0; --k) p = p * r + E::coefficients[k];
  // 2^(n-1) and a doubling, since 2^n itself overflows just below `highest`.
  const Bits scale = ((Bits)shifted << E::mantissa_bits) +
                     (static_cast<typename BitsOf<T>::type>(E::bias - 1) << E::mantissa_bits);
  p = p * (Vector<T>)scale * static_cast<T>(2);
  p = x < E::lowest ? Vector<T>{} : p;
  p = x > E::highest ? broadcast<T>(static_cast<T>(__builtin_inf())) : p;
  return x == x ? p : x;
}

template <typename T>
inline T reduce_max(Vector<T> v) {
  T best = v[0];
  for (int64_t k = 1; k < Lanes<T>::count; ++k) best = v[k] > best ? v[k] : best;
  return best;
}

// Lanes are added in a fixed tree, in double: the same sum whatever the caller's thread count.
template <typename T>
inline double reduce_add(Vector<T> v) {
  double s[Lanes<T>::count];
  for (int64_t k = 0; k < Lanes<T>::count; ++k) s[k] = v[k];
  for (int64_t half = Lanes<T>::count / 2; half > 0; half /= 2)
    for (int64_t k = 0; k < half; ++k) s[k] += s[k + half];
  return s[0];
}

}  // namespace
