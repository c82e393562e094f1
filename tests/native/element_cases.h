// `elements` against its formulas in plain double.
#pragma once

#include "cases.h"

namespace {

struct Point {
  double value, pull;  // a curve, and minus its slope in the margin
};

// In long double, for a clipped probability cancels.
Point curve_at(const BinaryRule& rule, bool positive, double margin) {
  const long double m = margin, one = 1, a = rule.a;
  const long double p = one / (one + std::exp(-m)), q = one / (one + std::exp(m));
  const long double nll = std::log1p(std::exp(-std::fabs(m))) + (m < 0 ? -m : 0);
  const auto point = [](long double value, long double pull) {
    return Point{static_cast<double>(value), static_cast<double>(pull)};
  };
  if (rule.curve == kPolyCurve) return point(nll + a * q, q * (1 + a * p));
  if (rule.curve == kGeneralizedCurve)
    return point(-std::expm1(-a * nll) / a, std::exp(-a * nll) * q);
  const long double gamma = positive ? rule.a : rule.b, clip = positive ? 0 : rule.c;
  if (clip == 0) {
    const long double focus = std::pow(q, gamma), far = p == 0 ? 0 : p * nll;
    return point(focus == 0 ? 0 : focus * nll, focus * (q + gamma * far));
  }
  // -s^gamma log(1 - s) with s = max(q - clip, 0)
  const long double s = q - clip, power = std::pow(s, gamma);
  if (s <= 0) return {0, 0};
  const long double log_rest = s < 0.5 ? std::log1p(-s) : std::log(p + clip);
  return point(-power * log_rest, p * q * power * (1 / (p + clip) - gamma * log_rest / s));
}

void run_elements(const Kernels& level, Dice& dice, uint64_t seed) {
  const Type type = static_cast<Type>(dice.below(kTypes)), own = type == kFloat64 ? type : kFloat32;
  const int64_t chunk_of[] = {1, 3, 7, 16, 17, 31, 63, 64, 65, 1000, 1023, 1024, 1025, 3000};
  const int64_t chunk = dice.one_of(chunk_of), last = 1 + dice.below(chunk);
  const int64_t chunks = 1 + dice.below(3), count = (chunks - 1) * chunk + last;
  const bool full = dice.chance(0.5), pos_full = dice.chance(0.5);
  Numbers logits(type, count), target(type, count);
  const Numbers loss(type, count), gradient(type, count);
  Numbers weight(own, full ? count : chunk), pos_weight(own, pos_full ? count : chunk);

  const double sizes[] = {1e-3, 1, 3, 30, 300}, size = dice.one_of(sizes);
  const bool hard = dice.chance(0.5), strange = dice.chance(0.2), outside = dice.chance(0.1);
  for (int64_t i = 0; i < count; ++i) {
    logits.set(i, dice.normal() * size);
    const double far[] = {kInfinity, -kInfinity, kNaN, 0};
    if (strange && dice.chance(0.05)) logits.set(i, dice.one_of(far));
    target.set(i, static_cast<double>(dice.below(hard ? 2 : 17)) / (hard ? 1 : 16));
  }
  if (outside) target.set(dice.below(count), dice.chance(0.5) ? 1.5 : -0.25);
  for (int64_t i = 0; i < (full ? count : chunk); ++i)
    weight.set(i, dice.chance(0.1) ? 0 : std::fabs(dice.normal()));
  for (int64_t i = 0; i < (pos_full ? count : chunk); ++i)
    pos_weight.set(i, std::fabs(dice.normal()));

  const double powers[] = {0, 0.5, 1, 1.5, 2, 3, 4, 5}, clips[] = {0, 0, 0.05, 0.3};
  const Curve curve = static_cast<Curve>(dice.below(3));
  const bool square = curve == kFocalCurve && dice.chance(0.3);
  BinaryRule rule = {curve, dice.one_of(powers), dice.one_of(powers), 0, 0.25, 0.75};
  if (square) rule.a = rule.b = 2;
  if (curve == kFocalCurve && !square) rule.c = dice.one_of(clips);
  if (curve == kGeneralizedCurve) rule.a = dice.chance(0.5) ? 0.7 : 1;
  const double ignores[] = {kNaN, 1, 0.5};
  const Elements given = {logits.data(),
                          target.data(),
                          {dice.chance(0.5) ? weight.data() : nullptr, full},
                          {dice.chance(0.5) ? pos_weight.data() : nullptr, pos_full},
                          dice.chance(0.3) ? 0.2 : 0.0,
                          dice.one_of(ignores)};
  const ElementLosses out = {dice.chance(0.6) ? loss.data() : nullptr,
                             dice.chance(0.7) ? gradient.data() : nullptr,
                             dice.chance(0.5) ? 1.0 : 0.125, dice.chance(0.3)};

  const auto check = [&](const char* what, int64_t i, double f, double w, double allowed) {
    if (near(f, w, allowed) || ++failures > 20) return;
    std::printf(
        "%s, %s elements, curve %d (%g, %g, %g), logit %g, target %g, seed %llu: %s of %lld is "
        "%.17g, wanted %.17g +- %.2g\n",
        level.level, kTypeNames[type], rule.curve, rule.a, rule.b, rule.c, logits.get(i),
        target.get(i), static_cast<unsigned long long>(seed), what, static_cast<long long>(i), f, w,
        allowed);
  };
  for (int64_t k = 0; k < chunks; ++k) {
    const int64_t begin = k * chunk, end = begin + chunk < count ? begin + chunk : count;
    const ElementSum sum = level.elements[type](given, rule, out, begin, end);
    double total = 0, total_allowed = 0;
    bool suspect = false;
    for (int64_t i = begin; i < end; ++i) {
      const double y = target.get(i), z = logits.get(i), smooth = given.smoothing / 2;
      const bool ignored = y == given.ignore;
      suspect |= !ignored && (y < 0 || y > 1);
      const double w = given.weight.data ? weight.get(full ? i : i - begin) : 1;
      const double of_positive =
          rule.positive * (y * (1 - given.smoothing) + smooth) *
          (given.pos_weight.data ? pos_weight.get(pos_full ? i : i - begin) : 1);
      const double of_negative = rule.negative * ((1 - y) * (1 - given.smoothing) + smooth);
      const Point up = curve_at(rule, true, z), down = curve_at(rule, false, -z);
      const auto times = [](double share, double x) {
        return share == 0 && std::isinf(x) ? 0 : share * x;
      };
      const double found = times(of_positive, up.value) + times(of_negative, down.value);
      const double value = ignored ? 0 : times(w, found);
      const double slope =
          ignored ? 0 : w * out.scale * (of_negative * down.pull - of_positive * up.pull);
      // of the distance to the logit whose probability is the clip, which a double rounds
      const double from_clip = std::fabs(z - std::log(rule.c / (1 - rule.c)));
      const double rounding = from_clip < kInfinity ? 8 * kEpsilon[kFloat64] / from_clip : 0;
      const double share = 128 * kEpsilon[type] + rounding;
      const double terms = std::fabs(of_positive) * std::fabs(up.pull) +
                           std::fabs(of_negative) * std::fabs(down.pull);
      const double size_of =
          times(std::fabs(of_positive), up.value) + times(std::fabs(of_negative), down.value);
      const double allowed = ignored ? 0 : share * times(w, size_of) + 2 * kLeast[type] * (1 + w);
      if (out.loss)
        check("loss", i, loss.get(i), value, allowed + kRounding[type] * std::fabs(value));
      if (out.gradient)
        check("gradient", i, gradient.get(i), slope,
              share * w * terms + kRounding[type] * std::fabs(slope) + 2 * kLeast[type] * (1 + w));
      total += value;
      total_allowed += allowed;
    }
    check("sum", begin, sum.loss, total, total_allowed);
    // a sum that is NaN is looked into by the caller
    check("suspicion", begin, sum.suspect, suspect || total != total, 0);
  }
  const bool kept = loss.intact_before() && gradient.intact_before();
  check("memory before an output kept", 0, kept, 1, 0);
}

}  // namespace
