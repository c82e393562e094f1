// How logits are stored and how they are computed with: 16-bit types are widened to float on load,
// and rounded to nearest, ties to even, on store.
#pragma once

#include "vector.h"

namespace {

struct BFloat16 {
  uint16_t bits;
};
struct Half {
  uint16_t bits;
};

// Compute: the type of the arithmetic. read, read_part: a vector of it; the lanes from `count` on
// are `fill`. write, write_part: back. stream: past the caches, to an address aligned to what is
// written.
template <typename S>
struct Element {
  using Compute = S;
  static Vector<S> read(const S* from) { return load(from); }
  static Vector<S> read_part(const S* from, int64_t count, S fill) {
    return load_part(from, count, fill);
  }
  static void write(S* to, Vector<S> v) { store(to, v); }
  static void write_part(S* to, Vector<S> v, int64_t count) { store_part(to, v, count); }
  static void stream(S* to, Vector<S> v) { ::stream(to, v); }
};

using Floats = Vector<float>;
using Words = Lanes<float>::Bits;
constexpr int64_t kFloats = Lanes<float>::count;
typedef uint16_t Shorts __attribute__((vector_size(kFloats * 2)));
typedef uint32_t UnsignedWords __attribute__((vector_size(kFloats * 4)));

// What compilers make of the conversion does half a vector at a time.
inline Words widen(Shorts bits) {
#if defined(__AVX512F__)
  return (Words)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)bits);
#elif defined(__AVX2__)
  return (Words)_mm256_cvtepu16_epi32((__m128i)bits);
#else
  return (Words) __builtin_convertvector(bits, UnsignedWords);
#endif
}

// Of words below 2^16.
inline Shorts narrow(Words bits) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  // what compilers make of the conversion takes a mask for the upper halves first
  return (Shorts)_mm_packus_epi32(_mm256_castsi256_si128((__m256i)bits),
                                  _mm256_extracti128_si256((__m256i)bits, 1));
#else
  return __builtin_convertvector((UnsignedWords)bits, Shorts);
#endif
}

inline Shorts upper_halves(Words bits) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  const __m256i upper = _mm256_set1_epi64x(0x0f0e0b0a07060302);  // of each 16 bytes, twice
  const __m256i picked = _mm256_shuffle_epi8((__m256i)bits, upper);
  return (Shorts)_mm256_castsi256_si128(_mm256_permute4x64_epi64(picked, 0x08));
#else
  return narrow((Words)((UnsignedWords)bits >> 16));
#endif
}

inline Floats to_floats(Shorts bits, BFloat16) { return (Floats)(widen(bits) << 16); }

inline Shorts from_floats(Floats v, BFloat16) {
  const Words bits = (Words)v, rounded = bits + 0x7fff + ((bits >> 16) & 1);
  return upper_halves(rounded | (v != v));  // all bits set are a NaN
}

#if defined(__AVX512F__)
inline Floats to_floats(Shorts bits, Half) {
  return (Floats)_mm512_maskz_cvtph_ps(0xffff, (__m256i)bits);
}
inline Shorts from_floats(Floats v, Half) {
  return (Shorts)_mm512_maskz_cvtps_ph(0xffff, (__m512)v,
                                       _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#elif defined(__F16C__)
inline Floats to_floats(Shorts bits, Half) { return (Floats)_mm256_cvtph_ps((__m128i)bits); }
inline Shorts from_floats(Floats v, Half) {
  return (Shorts)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
#else
// 1 sign, 5 exponent (bias 15) and 10 mantissa bits, against 1, 8 (127) and 23.
inline Floats to_floats(Shorts bits, Half) {
  const Words h = widen(bits), sign = (h & 0x8000) << 16, size = h & 0x7fff;
  const Words normal = (size << 13) + (112 << 23);
  const Words special = (size << 13) | 0x7f800000;  // inf and NaN
  const Words tiny = (Words)(__builtin_convertvector(size, Floats) * 0x1p-24f);
  const Words wide = size < 0x400 ? tiny : size < 0x7c00 ? normal : special;
  return (Floats)(wide | sign);
}
inline Shorts from_floats(Floats v, Half) {
  const Words bits = (Words)v, sign = (bits >> 16) & 0x8000, size = bits & 0x7fffffff;
  const Words rounded = ((size + 0xfff + ((size >> 13) & 1)) >> 13) - (112 << 10);
  // multiples of 2^-24, rounded by adding 1.5 * 2^23
  constexpr float magic = 12582912.0f;
  const Words tiny = (Words)((Floats)size * 0x1p24f + magic) & 0x7ff;
  Words half = size < (113 << 23) ? tiny : rounded;
  half = half > 0x7c00 ? Words{} + 0x7c00 : half;
  half = size > 0x7f800000 ? Words{} + 0x7e00 : half;
  return narrow(half | sign);
}
#endif

#if defined(__AVX512F__)
inline Shorts load_part(const uint16_t* from, int64_t count, uint16_t fill) {
  const auto mask = static_cast<__mmask16>(first_lanes(count));
  return (Shorts)_mm256_mask_loadu_epi16(_mm256_set1_epi16(static_cast<int16_t>(fill)), mask, from);
}
inline void store_part(uint16_t* to, Shorts v, int64_t count) {
  _mm256_mask_storeu_epi16(to, static_cast<__mmask16>(first_lanes(count)), (__m256i)v);
}
#else
inline Shorts load_part(const uint16_t* from, int64_t count, uint16_t fill) {
  return Part<uint16_t, kFloats>::load(from, count, fill);
}
inline void store_part(uint16_t* to, Shorts v, int64_t count) {
  Part<uint16_t, kFloats>::store(to, v, count);
}
#endif

template <typename S>
struct ShortElement {
  using Compute = float;
  static Floats read(const S* from) {
    Shorts bits;
    std::memcpy(&bits, from, sizeof bits);
    return to_floats(bits, S{});
  }
  static Floats read_part(const S* from, int64_t count, float fill) {
    const auto* bits = reinterpret_cast<const uint16_t*>(from);
    const uint16_t filler = from_floats(broadcast(fill), S{})[0];
    return to_floats(load_part(bits, count, filler), S{});
  }
  static void write(S* to, Floats v) {
    const Shorts bits = from_floats(v, S{});
    std::memcpy(to, &bits, sizeof bits);
  }
  static void write_part(S* to, Floats v, int64_t count) {
    store_part(reinterpret_cast<uint16_t*>(to), from_floats(v, S{}), count);
  }
  static void stream(S* to, Floats v) {
    const Shorts bits = from_floats(v, S{});
    stream_half(to, &bits);
  }
};
template <>
struct Element<BFloat16> : ShortElement<BFloat16> {};
template <>
struct Element<Half> : ShortElement<Half> {};

template <typename S>
using Compute = typename Element<S>::Compute;

// As many elements as there are, up to a vector of them; the other lanes are `fill`.
template <typename S>
inline Vector<Compute<S>> read_lanes(const S* from, int64_t count, Compute<S> fill = 0) {
  return count >= Lanes<Compute<S>>::count ? Element<S>::read(from)
                                           : Element<S>::read_part(from, count, fill);
}

template <typename S>
inline void write_lanes(S* to, Vector<Compute<S>> v, int64_t count) {
  if (count >= Lanes<Compute<S>>::count)
    Element<S>::write(to, v);
  else
    Element<S>::write_part(to, v, count);
}

// The first `count` lanes of a vector, which has more; the others are 0.
template <typename T>
inline Vector<T> first_lanes_of(Vector<T> v, int64_t count) {
  alignas(64) T lanes[Lanes<T>::count] = {};
  store_part(lanes, v, count);
  return load(lanes);
}

}  // namespace
