// The losses of binary and multi-label targets: one pass that reads a logit and its target once and
// writes loss and gradient together.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "curves.h"
#include "rows.h"

namespace {

// A weight of 0 silences an infinite loss, not a NaN.
template <typename T>
inline Vector<T> times(Vector<T> weight, Vector<T> x) {
  return weight * (weight == static_cast<T>(0) ? finite<T>(x) : x);
}

// Both labels' parts, with their shares: the loss, and its slope in the logit.
template <typename T>
struct Both {
  Vector<T> loss, gradient;
};

template <template <typename> class Curves, typename T>
inline Both<T> both_labels(const Curves<T>& curves, Vector<T> z, Vector<T> of_positive,
                           Vector<T> of_negative) {
  const Logit<T> logit(z);
  const Term<T> up = curves.positive(logit.positive), down = curves.negative(logit.negative);
  return {times<T>(of_positive, up.value) + times<T>(of_negative, down.value),
          of_negative * down.pull - of_positive * up.pull};
}

// Cross entropy, which is kPolyCurve where a is 0 and most calls: log(1 + e^-|z|) for both labels,
// and |z| for the one that the logit speaks against.
template <typename T>
struct LogCurve {
  explicit LogCurve(const BinaryRule&) {}
};

template <typename T>
inline Both<T> both_labels(const LogCurve<T>&, Vector<T> z, Vector<T> of_positive,
                           Vector<T> of_negative) {
  const Vector<T> size = magnitude<T>(z);
  const Vector<T> e = exp_above<T>(-size, broadcast(Exp<T>::lowest));
  const auto below = z < static_cast<T>(0);
  const Vector<T> wrong = below ? of_positive : of_negative;
  const Vector<T> right = below ? of_negative : of_positive;
  const Vector<T> far = wrong == static_cast<T>(0) ? Vector<T>{} : wrong * size;
  const Vector<T> pull = (wrong - right * e) / (e + static_cast<T>(1));
  return {(of_positive + of_negative) * log1p(e) + far, below ? -pull : pull};
}

template <typename T>
struct ElementTerm {
  Vector<T> loss, gradient;
  Vector<T> room;  // y (1 - y): negative where a target is outside [0, 1]
};

// What does not depend on the element.
template <typename T, typename Curves>
struct ElementRule {
  Curves curves;
  T positive, negative, always_positive, always_negative, ignore, scale;
  bool ignores;

  // A label's share is its factor times y (1 - smoothing) + smoothing / 2.
  ElementRule(const Elements& elements, const BinaryRule& rule, double scale)
      : curves(rule),
        positive(static_cast<T>(rule.positive * (1 - elements.smoothing))),
        negative(static_cast<T>(rule.negative * (1 - elements.smoothing))),
        always_positive(static_cast<T>(rule.positive * elements.smoothing / 2)),
        always_negative(static_cast<T>(rule.negative * elements.smoothing / 2)),
        ignore(static_cast<T>(elements.ignore)),
        scale(static_cast<T>(scale)),
        ignores(elements.ignore == elements.ignore) {}

  ElementTerm<T> operator()(Vector<T> z, Vector<T> y, const T* weight, const T* pos_weight,
                            int64_t count) const {
    const Vector<T> rest = static_cast<T>(1) - y;
    Vector<T> of_positive = y * positive + always_positive;
    const Vector<T> of_negative = rest * negative + always_negative;
    if (pos_weight) of_positive *= read_lanes(pos_weight, count);
    const Both<T> both = both_labels(curves, z, of_positive, of_negative);
    Vector<T> loss = both.loss, gradient = both.gradient * scale;
    if (weight) {
      const Vector<T> w = read_lanes(weight, count);
      loss = times<T>(w, loss);
      gradient *= w;
    }
    ElementTerm<T> term = {loss, gradient, y * rest};
    if (ignores) silence(term, y == ignore);
    return term;
  }

 private:
  template <typename Mask>
  static void silence(ElementTerm<T>& term, Mask ignored) {
    const Vector<T> nothing{};
    term.loss = ignored ? nothing : term.loss;
    term.gradient = ignored ? nothing : term.gradient;
    term.room = ignored ? nothing : term.room;
  }
};

constexpr int64_t kAhead = 512;  // elements: how long before they are wanted they are fetched

// Flattened, since the compiler would call exp from a loop of this length.
template <typename S, typename Curves>
__attribute__((flatten)) ElementSum elements_of(const Elements& elements, const BinaryRule& given,
                                                const ElementLosses& out, int64_t begin,
                                                int64_t end) {
  using T = Compute<S>;
  constexpr int64_t lanes = Lanes<T>::count, block = 1024;
  alignas(64) T buffer[block];
  const ElementRule<T, Curves> rule(elements, given, out.scale);
  const auto weights_from = [begin](const Weights& weights) {
    const T* data = static_cast<const T*>(weights.data);
    return data && weights.full ? data + begin : data;
  };
  const T *weight = weights_from(elements.weight), *pos_weight = weights_from(elements.pos_weight);
  const S* logits = static_cast<const S*>(elements.logits) + begin;
  const S* target = static_cast<const S*>(elements.target) + begin;
  S* loss = out.loss ? static_cast<S*>(out.loss) + begin : nullptr;
  S* gradient = out.gradient ? static_cast<S*>(out.gradient) + begin : nullptr;

  double sum = 0.0;
  Vector<T> least{};
  for (int64_t first = 0; first < end - begin; first += block) {
    const int64_t size = end - begin - first < block ? end - begin - first : block;
    Vector<T> losses{};
    for (int64_t k = 0; k < size; k += lanes) {
      const int64_t i = first + k, part = size - k;
      __builtin_prefetch(logits + i + kAhead);
      __builtin_prefetch(target + i + kAhead);
      ElementTerm<T> term =
          rule(read_lanes(logits + i, part), read_lanes(target + i, part),
               weight ? weight + i : nullptr, pos_weight ? pos_weight + i : nullptr, part);
      if (part < lanes) term.loss = first_lanes_of<T>(term.loss, part);
      losses += term.loss;
      least = smaller<T>(least, term.room);
      if (loss) write_lanes(loss + i, term.loss, part);
      store(buffer + k, term.gradient);
    }
    sum += reduce_add(losses);
    if (gradient) emit(buffer, gradient + first, size, out.stream);
  }
  if (out.stream) fence();
  // a NaN among the targets is lost on the way to `least`, and found in the sum
  bool suspect = sum != sum;
  for (int64_t k = 0; k < lanes; ++k) suspect |= least[k] < 0;
  return {sum, suspect};
}

template <typename S>
ElementSum elements(const Elements& given, const BinaryRule& rule, const ElementLosses& out,
                    int64_t begin, int64_t end) {
  using T = Compute<S>;
  const bool square = rule.a == 2 && rule.b == 2 && rule.c == 0;
  if (rule.curve == kFocalCurve && square)
    return elements_of<S, SquareFocalCurve<T>>(given, rule, out, begin, end);
  if (rule.curve == kFocalCurve) return elements_of<S, FocalCurve<T>>(given, rule, out, begin, end);
  if (rule.curve == kPolyCurve && rule.a == 0)
    return elements_of<S, LogCurve<T>>(given, rule, out, begin, end);
  if (rule.curve == kPolyCurve) return elements_of<S, PolyCurve<T>>(given, rule, out, begin, end);
  return elements_of<S, GeneralizedCurve<T>>(given, rule, out, begin, end);
}

}  // namespace
