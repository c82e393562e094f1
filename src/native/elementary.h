// exp, tanh and log on vectors.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "vector.h"

namespace {

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

// (e^r - 1) / r for |r| <= ln2/2.
template <typename T>
CROSSENTROPY_INLINE Vector<T> exp_quotient(Vector<T> r) {
  using E = Exp<T>;
  constexpr int degree = sizeof(E::coefficients) / sizeof(T) - 1;
  Vector<T> p = broadcast<T>(E::coefficients[degree]);
  for (int k = degree - 1; k >= 1; --k) p = p * r + E::coefficients[k];
  return p;
}

// x = n ln2 + r with |r| <= ln2/2, and 2^(n - Halvings).
template <typename T>
struct Reduced {
  Vector<T> r, power;
};

template <typename T, int Halvings = 0>
CROSSENTROPY_INLINE Reduced<T> reduced(Vector<T> x) {
  using E = Exp<T>;
  using Bits = typename Lanes<T>::Bits;
  constexpr T log2e = static_cast<T>(1.4426950408889634074);
  constexpr auto bias = static_cast<typename BitsOf<T>::type>(E::bias - Halvings);
  const Vector<T> shifted = x * log2e + E::round, n = shifted - E::round;
  return {(x - n * E::ln2_high) - n * E::ln2_low,
          (Vector<T>)(((Bits)shifted << E::mantissa_bits) + (bias << E::mantissa_bits))};
}

// 2^-Halvings e^x where lowest <= x <= highest; garbage elsewhere, but NaN where x is NaN.
template <typename T, int Halvings = 0>
CROSSENTROPY_INLINE Vector<T> exp_within(Vector<T> x) {
  const auto [r, power] = reduced<T, Halvings>(x);
  const Vector<T> p = exp_quotient<T>(r) * r + Exp<T>::coefficients[0];
  return p * power;
}

// For sums in which some term is 1: x <= 0 or NaN, and what is below `lowest` counts as `lowest`.
template <typename T>
CROSSENTROPY_INLINE Vector<T> exp_of_negative(Vector<T> x) {
  const Vector<T> lowest = broadcast<T>(Exp<T>::lowest);
  return exp_within<T>(lowest > x ? lowest : x);  // in this order NaN stays
}

// x <= 0, or not much above, or NaN; exactly 0 below `least`, which is no less than `lowest`.
template <typename T>
CROSSENTROPY_INLINE Vector<T> exp_above(Vector<T> x, Vector<T> least) {
  const Vector<T> result = exp_within<T>(x);
  return x < least ? Vector<T>{} : result;
}

// Below `lowest` 0 (no subnormal result), above `highest` inf.
template <typename T>
CROSSENTROPY_INLINE Vector<T> exp(Vector<T> x) {
  // a halving, since 2^n itself overflows just below `highest`
  Vector<T> result = exp_within<T, 1>(x) * static_cast<T>(2);
  result = x < Exp<T>::lowest ? Vector<T>{} : result;
  return x > Exp<T>::highest ? broadcast<T>(static_cast<T>(__builtin_inf())) : result;
}

template <typename T>
CROSSENTROPY_INLINE Vector<T> magnitude(Vector<T> x) {
  return x < static_cast<T>(0) ? -x : x;
}

// e^x and e^x - 1 where lowest <= x <= highest; garbage elsewhere, but NaN where x is NaN. The
// second is 2^n (e^r - 1) + (2^n - 1), which does not cancel where x is small.
template <typename T>
struct ExpAndLess {
  Vector<T> exp, less_one;
};

template <typename T>
CROSSENTROPY_INLINE ExpAndLess<T> exp_and_less_within(Vector<T> x) {
  const auto [r, power] = reduced<T>(x);
  const Vector<T> p = exp_quotient<T>(r) * r, one = broadcast(static_cast<T>(1));
  return {(p + one) * power, p * power + (power - one)};
}

// tanh x = (1 - d) / (1 + d) and its slope 4 d / (1 + d)^2, by d = e^-2|x|.
template <typename T>
struct Tanh {
  Vector<T> value, slope;
};

template <typename T>
CROSSENTROPY_INLINE Tanh<T> tanh(Vector<T> x) {
  const Vector<T> lowest = broadcast<T>(Exp<T>::lowest), one = broadcast(static_cast<T>(1));
  const Vector<T> twice = magnitude<T>(x) * static_cast<T>(-2);
  const ExpAndLess<T> d = exp_and_less_within<T>(lowest > twice ? lowest : twice);
  const Vector<T> inverse = one / (d.less_one + static_cast<T>(2)), size = d.less_one * inverse;
  return {x < static_cast<T>(0) ? size : -size, static_cast<T>(4) * d.exp * inverse * inverse};
}

// x = 2^n m with m near 1, for normal x > 0.
template <typename T>
struct Binary {
  Vector<T> n, m;
};

CROSSENTROPY_INLINE Binary<double> binary(Vector<double> x) {
  using Bits = typename Lanes<double>::Bits;
  constexpr int64_t root_half = 0x3fe6a09e667f3bcd;  // sqrt(1/2)
  const Bits bits = (Bits)x, k = (bits - root_half) >> 52;
  // k as a double: exact, by the bits of 2^52 + 2^51 + k
  constexpr double magic = 6755399441055744.0;
  return {(Vector<double>)((Bits)broadcast(magic) + k) - magic, (Vector<double>)(bits - (k << 52))};
}

CROSSENTROPY_INLINE Binary<float> binary(Vector<float> x) {
  using Bits = typename Lanes<float>::Bits;
  constexpr int32_t root_half = 0x3f3504f3;
  const Bits bits = (Bits)x, k = (bits - root_half) >> 23;
  return {__builtin_convertvector(k, Vector<float>), (Vector<float>)(bits - (k << 23))};
}

// log(2^n m) = n ln2 + 2 artanh s with s = (m - 1) / (m + 1), whose series has the coefficients
// 1 / (2k + 1); the first left out is below 1e-18. Two chains do not wait for each other.
CROSSENTROPY_INLINE Vector<double> log_by(Vector<double> n, Vector<double> s) {
  using E = Exp<double>;
  const Vector<double> square = s * s, fourth = square * square;
  Vector<double> even = broadcast(1.0 / 23), odd = broadcast(1.0 / 21);
  for (int k = 19; k > 3; k -= 4) {
    even = even * fourth + 1.0 / k;
    odd = odd * fourth + 1.0 / (k - 2);
  }
  const Vector<double> p = (even * fourth + 1.0 / 3) + odd * square;
  return n * E::ln2_high + (2.0 * s + (2.0 * s * square * p + n * E::ln2_low));
}

// The same in floats, where four terms of the series do.
CROSSENTROPY_INLINE Vector<float> log_by(Vector<float> n, Vector<float> s) {
  using E = Exp<float>;
  const Vector<float> square = s * s;
  const Vector<float> p = ((square * (1.0f / 9) + 1.0f / 7) * square + 0.2f) * square + 1.0f / 3;
  return n * E::ln2_high + (2.0f * s + (2.0f * s * square * p + n * E::ln2_low));
}

// log(x) for normal x >= 0; log 0 is -inf, NaN stays.
CROSSENTROPY_INLINE Vector<double> log(Vector<double> x) {
  const Binary<double> b = binary(x);
  Vector<double> result = log_by(b.n, (b.m - 1.0) / (b.m + 1.0));
  result = x == 0.0 ? broadcast(-__builtin_inf()) : result;
  result = x == __builtin_inf() ? x : result;
  return x == x ? result : x;
}

// log(x) and 1 / x for 1 <= x, neither huge, by one division; NaN stays.
template <typename T>
struct LogAndInverse {
  Vector<T> log, inverse;
};
template <typename T>
CROSSENTROPY_INLINE LogAndInverse<T> log_and_inverse(Vector<T> x) {
  const Binary<T> b = binary(x);
  const T one = 1;
  const Vector<T> above = b.m + one, both = one / (above * x), inverse = both * above;
  const Vector<T> result = log_by(b.n, (b.m - one) * (both * x));
  return {x == x ? result : x, inverse};
}

// log(1 + x) for 0 <= x <= 1, to the last digits of a tiny x: what 1 + x rounds away is put back.
inline Vector<double> log1p(Vector<double> x) {
  const Vector<double> sum = x + 1.0;
  return log(sum) + (x - (sum - 1.0)) / sum;
}

}  // namespace
