// The losses of one logit: for each label a curve of its margin, z for positives and -z for
// negatives, which share one exponential and one logarithm.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "blocks.h"

namespace {

// ---- elementary functions -----------------------------------------------------------------------

// log(1 + x) for 0 <= x <= 1 without a division, which would cost as much as all the rest: the
// polynomial is interpolated at Chebyshev nodes, with a relative error of 6e-9. Even and odd powers
// apart, since one chain of twice the length would be waited for.
inline Vector<float> log1p(Vector<float> x) {
  constexpr float even[] = {0.9999999947f, 0.3332971050f, 0.1966327426f, 0.1054362380f,
                            0.01954252727f};
  constexpr float odd[] = {-0.4999989265f, -0.2495161626f, -0.1526966707f, -0.05637361284f,
                           -0.003176057020f};
  const Vector<float> square = x * x;
  Vector<float> p = broadcast(even[4]), q = broadcast(odd[4]);
  for (int k = 3; k >= 0; --k) {
    p = p * square + even[k];
    q = q * square + odd[k];
  }
  return (q * x + p) * x;
}

// A function of doubles, by the two halves of the floats.
template <typename Function>
inline Vector<float> in_double(Vector<float> v, Function function) {
  using All = Part<float, Lanes<float>::count>;
  typename All::Halves result;
  const auto low = __builtin_convertvector(All::low(v), Vector<double>);
  const auto high = __builtin_convertvector(All::high(v), Vector<double>);
  result.half[0] = __builtin_convertvector(function(low), typename All::Half::Whole);
  result.half[1] = __builtin_convertvector(function(high), typename All::Half::Whole);
  return result.whole;
}
template <typename Function>
inline Vector<double> in_double(Vector<double> v, Function function) {
  return function(v);
}

// e^(high + low) where high is exact and may be large, low is not; exactly 0 below `lowest`.
template <typename T>
inline Vector<T> exp_of_sum(Vector<T> high, Vector<T> low) {
  using E = Exp<T>;
  using Bits = typename Lanes<T>::Bits;
  constexpr T log2e = static_cast<T>(1.4426950408889634074);
  const Vector<T> shifted = (high + low) * log2e + E::round, n = shifted - E::round;
  const Vector<T> r = ((high - n * E::ln2_high) - n * E::ln2_low) + low;
  const Vector<T> p = exp_quotient<T>(r) * r + E::coefficients[0];
  const Bits power = ((Bits)shifted << E::mantissa_bits) + (E::bias << E::mantissa_bits);
  const Vector<T> result = p * (Vector<T>)power;
  return high + low < E::lowest ? Vector<T>{} : result;
}

// The leading half of a number's digits.
inline Vector<float> leading(Vector<float> x) { return (Vector<float>)((Words)x & ~0xfff); }
inline Vector<double> leading(Vector<double> x) {
  return (Vector<double>)((Lanes<double>::Bits)x & ~int64_t{0x7ffffff});
}

template <typename T>
inline Vector<T> smaller(Vector<T> a, Vector<T> b) {
  return b < a ? b : a;  // a where b is NaN
}

// What is infinite as a number that is as good, and times 0 is 0. NaN stays.
template <typename T>
inline Vector<T> finite(Vector<T> x) {
  const Vector<T> most = broadcast(static_cast<T>(1e30));
  return most < x ? most : x;
}

// An exponent in two parts, so that large products with it keep their last digits.
template <typename T>
struct Exponent {
  T whole, high, low;

  explicit Exponent(double exponent)
      : whole(static_cast<T>(exponent)),
        high(leading(broadcast(whole))[0]),
        low(static_cast<T>(exponent - static_cast<double>(high))) {}

  // e^(-exponent (given + y)), both at least 0, y at most log 2.
  Vector<T> exp_of_minus(Vector<T> given, Vector<T> y) const {
    const Vector<T> x = finite<T>(given), x_high = leading(x), x_low = x - x_high;
    return exp_of_sum<T>(x_high * -high, -(x_low * high + x * low) - y * whole);
  }
};

// ---- a logit, and a label's view of it ----------------------------------------------------------

// Of a logit, seen by one label, by its margin m: p = sigma(m), q = sigma(-m), nll = -log p, and
// -log p = against + common, -log q = beyond + common.
template <typename T>
struct Side {
  Vector<T> margin, p, q, nll, against, beyond, common;
};

template <typename T>
struct Logit {
  Side<T> positive, negative;

  explicit Logit(Vector<T> z) {
    const Vector<T> zero{}, size = magnitude<T>(z);
    const Vector<T> e = exp_above<T>(-size, broadcast(Exp<T>::lowest));
    const Vector<T> greater = static_cast<T>(1) / (e + static_cast<T>(1)), lesser = e * greater;
    const Vector<T> common = log1p(e);
    const auto below = z < static_cast<T>(0);
    const Vector<T> p = below ? lesser : greater, q = below ? greater : lesser;
    const Vector<T> above_zero = below ? zero : size, below_zero = below ? size : zero;
    positive = {z, p, q, below_zero + common, below_zero, above_zero, common};
    negative = {-z, q, p, above_zero + common, above_zero, below_zero, common};
  }
};

// A curve's value, and its pull: minus its slope in the margin.
template <typename T>
struct Term {
  Vector<T> value, pull;
};

// ---- curves -------------------------------------------------------------------------------------

template <typename T>
class PolyCurve {
 public:
  explicit PolyCurve(const BinaryRule& rule) : epsilon_(static_cast<T>(rule.a)) {}

  Term<T> positive(const Side<T>& at) const {
    return {at.nll + at.q * epsilon_, at.q * (at.p * epsilon_ + static_cast<T>(1))};
  }
  Term<T> negative(const Side<T>& at) const { return positive(at); }

 private:
  T epsilon_;
};

template <typename T>
class GeneralizedCurve {
 public:
  explicit GeneralizedCurve(const BinaryRule& rule) : exponent_(rule.a) {}

  Term<T> positive(const Side<T>& at) const {
    const Vector<T> x = at.nll * exponent_.whole,
                    power = exponent_.exp_of_minus(at.against, at.common);
    const Vector<T> series = at.nll * exp_quotient<T>(-x);  // where 1 - power would cancel
    const Vector<T> value = (static_cast<T>(1) - power) / exponent_.whole;
    return {x < static_cast<T>(0.34) ? series : value, power * at.q};
  }
  Term<T> negative(const Side<T>& at) const { return positive(at); }

 private:
  Exponent<T> exponent_;
};

// x^exponent: by products for whole exponents up to 4, else as `otherwise` has it.
template <typename T, typename Otherwise>
inline Vector<T> power(Vector<T> x, T exponent, Otherwise otherwise) {
  if (exponent == 0) return broadcast(static_cast<T>(1));
  if (exponent == 1) return x;
  if (exponent == 2) return x * x;
  if (exponent == 3) return x * x * x;
  if (exponent == 4) return (x * x) * (x * x);
  return otherwise();
}

// The slope -d/dm of q^g nll is q^g (q + g p nll): nothing is divided, so it is finite for any g.
template <typename T>
inline Term<T> focal_term(const Side<T>& at, Vector<T> focus, T gamma) {
  return {focus * at.nll, focus * (at.q + at.p * finite<T>(at.nll) * gamma)};
}

// kFocalCurve where both powers are 2 and nothing is clipped, as in most calls.
template <typename T>
struct SquareFocalCurve {
  explicit SquareFocalCurve(const BinaryRule&) {}

  Term<T> positive(const Side<T>& at) const {
    return focal_term<T>(at, at.q * at.q, static_cast<T>(2));
  }
  Term<T> negative(const Side<T>& at) const { return positive(at); }
};

template <typename T>
class FocalCurve {
 public:
  explicit FocalCurve(const BinaryRule& rule)
      : positive_(rule.a),
        negative_(rule.b),
        clip_(static_cast<T>(rule.c)),
        rest_(static_cast<T>(1 - rule.c)) {
    const double threshold = rule.c > 0 ? ::log(rule.c / (1 - rule.c)) : 0;
    high_ = static_cast<T>(threshold);
    low_ = static_cast<T>(threshold - static_cast<double>(high_));
  }

  Term<T> positive(const Side<T>& at) const { return focal(at, positive_); }
  Term<T> negative(const Side<T>& at) const {
    return clip_ > 0 ? shifted(at) : focal(at, negative_);
  }

 private:
  Exponent<T> positive_, negative_;
  T clip_, rest_;  // 1 - clip
  T high_, low_;   // the logit whose probability is clip

  static Term<T> focal(const Side<T>& at, const Exponent<T>& gamma) {
    const Vector<T> focus =
        power<T>(at.q, gamma.whole, [&] { return gamma.exp_of_minus(at.beyond, at.common); });
    return focal_term<T>(at, focus, gamma.whole);
  }

  // -s^g log(1 - s) with s = max(q - clip, 0).
  Term<T> shifted(const Side<T>& at) const {
    const T one = 1, zero = 0;
    const Vector<T> nothing{}, s = shifted_probability(at), rest = at.p + clip_;
    const Vector<T> small = in_double(s, [](Vector<double> x) { return -log1p(-x); });
    const Vector<T> large = in_double(rest, [](Vector<double> x) { return -log(x); });
    const Vector<T> nll = s < static_cast<T>(0.5) ? small : large;
    const Vector<T> focus = power<T>(s, negative_.whole, [&] {
      const Vector<T> logs = in_double(s, [](Vector<double> x) { return log(x); });
      return s == zero ? nothing : exp_of_sum<T>(nothing, logs * negative_.whole);
    });
    const Vector<T> ratio = nll / (s == zero ? broadcast(one) : s);
    const Vector<T> slope = at.p * at.q * focus * (ratio * negative_.whole + one / rest);
    return {focus * nll, s == zero ? nothing : slope};
  }

  // q - clip = clip p (e^d - 1), d the distance of the logits, near 0 where the first cancels.
  Vector<T> shifted_probability(const Side<T>& at) const {
    const T zero = 0, near = static_cast<T>(0.34);
    const Vector<T> d = (-at.margin - high_) - low_;
    const Vector<T> by_logits = at.p * (d * exp_quotient<T>(d)) * clip_;
    const Vector<T> by_probability = at.margin < zero ? rest_ - at.p : at.q - clip_;
    const Vector<T> s = d < near && d > -near ? by_logits : by_probability;
    return s <= zero ? Vector<T>{} : s;
  }
};

}  // namespace
