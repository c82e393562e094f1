// Vectors transposed in registers: rows into columns, and back.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "vector.h"

namespace {

template <int... I>
struct Indices {};
template <int N, int... I>
struct IndicesTo : IndicesTo<N - 1, N - 1, I...> {};
template <int... I>
struct IndicesTo<0, I...> {
  using type = Indices<I...>;
};

// a0 b0 a1 b1 ..., of the lower or the upper halves.
template <typename T, int... I>
inline Vector<T> interleave(Vector<T> a, Vector<T> b, int from, Indices<I...>) {
  constexpr int lanes = Lanes<T>::count;
  return from == 0 ? __builtin_shufflevector(a, b, ((I % 2) * lanes + I / 2)...)
                   : __builtin_shufflevector(a, b, ((I % 2) * lanes + I / 2 + lanes / 2)...);
}

// a0 a2 ... b0 b2 ..., or what lies between.
template <typename T, int... I>
inline Vector<T> every_other(Vector<T> a, Vector<T> b, int from, Indices<I...>) {
  return from == 0 ? __builtin_shufflevector(a, b, (2 * I)...)
                   : __builtin_shufflevector(a, b, (2 * I + 1)...);
}

// Lane by lane of C vectors into the order of memory, adjacent rows of C classes, by log2(C)
// perfect shuffles.
template <typename T, int C>
inline void zip(Vector<T>* vectors) {
  using All = typename IndicesTo<Lanes<T>::count>::type;
  for (int stage = 1; stage < C; stage *= 2) {
    Vector<T> next[C];
    for (int k = 0; k < C / 2; ++k) {
      next[2 * k] = interleave<T>(vectors[k], vectors[k + C / 2], 0, All{});
      next[2 * k + 1] = interleave<T>(vectors[k], vectors[k + C / 2], 1, All{});
    }
    for (int k = 0; k < C; ++k) vectors[k] = next[k];
  }
}

// What zip undoes.
template <typename T, int C>
inline void unzip(Vector<T>* vectors) {
  using All = typename IndicesTo<Lanes<T>::count>::type;
  for (int stage = 1; stage < C; stage *= 2) {
    Vector<T> next[C];
    for (int k = 0; k < C / 2; ++k) {
      next[k] = every_other<T>(vectors[2 * k], vectors[2 * k + 1], 0, All{});
      next[k + C / 2] = every_other<T>(vectors[2 * k], vectors[2 * k + 1], 1, All{});
    }
    for (int k = 0; k < C; ++k) vectors[k] = next[k];
  }
}

// Elements of 16 bytes, within which every level shuffles at least cost.
template <typename T>
constexpr int kPiece = 16 / static_cast<int>(sizeof(T));

// Of each 16 bytes of a and of b the lower or the upper half, `unit` elements of each in turn.
template <typename T, int unit, bool upper, int... I>
inline Vector<T> unpack(Vector<T> a, Vector<T> b, Indices<I...>) {
  constexpr int lanes = Lanes<T>::count, piece = kPiece<T>;
  return __builtin_shufflevector(
      a, b,
      (I / piece * piece + (upper ? piece / 2 : 0) + I % piece / (2 * unit) * unit + I % unit +
       I / unit % 2 * lanes)...);
}

// Element by element of each 16 bytes, in a vector for each element.
template <typename T>
CROSSENTROPY_INLINE void transpose_pieces(Vector<T>* v) {
  using All = typename IndicesTo<Lanes<T>::count>::type;
  if constexpr (kPiece<T> == 2) {
    const Vector<T> upper = unpack<T, 1, true>(v[0], v[1], All{});
    v[0] = unpack<T, 1, false>(v[0], v[1], All{});
    v[1] = upper;
  } else {
    const Vector<T> a = unpack<T, 1, false>(v[0], v[1], All{});
    const Vector<T> b = unpack<T, 1, true>(v[0], v[1], All{});
    const Vector<T> c = unpack<T, 1, false>(v[2], v[3], All{});
    const Vector<T> d = unpack<T, 1, true>(v[2], v[3], All{});
    v[0] = unpack<T, 2, false>(a, c, All{});
    v[1] = unpack<T, 2, true>(a, c, All{});
    v[2] = unpack<T, 2, false>(b, d, All{});
    v[3] = unpack<T, 2, true>(b, d, All{});
  }
}

// The lanes of b whose number has no bit `s` change places with those of a that have it.
template <typename T, int s, int... I>
CROSSENTROPY_INLINE void exchange(Vector<T>& a, Vector<T>& b, Indices<I...>) {
  constexpr int lanes = Lanes<T>::count;
  const Vector<T> low = __builtin_shufflevector(a, b, (I & s ? lanes + I - s : I)...);
  b = __builtin_shufflevector(a, b, (I & s ? lanes + I : I + s)...);
  a = low;
}

template <typename T, int s>
CROSSENTROPY_INLINE void exchange_all(Vector<T>* square) {
  if constexpr (s < Lanes<T>::count) {
    for (int k = 0; k < Lanes<T>::count; ++k)
      if ((k & s) == 0)
        exchange<T, s>(square[k], square[k + s], typename IndicesTo<Lanes<T>::count>::type{});
    exchange_all<T, 2 * s>(square);
  }
}

template <typename T>
CROSSENTROPY_INLINE void transpose(Vector<T>* square) {
  for (int k = 0; k < Lanes<T>::count; k += kPiece<T>) transpose_pieces<T>(square + k);
  exchange_all<T, kPiece<T>>(square);
}

}  // namespace
