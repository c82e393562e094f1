// `soft` and `soft_mass` against their formulas in plain double.
#pragma once

#include <vector>

#include "cases.h"

namespace {

// A case's logits with distributions as targets, or a teacher's logits.
struct SoftCase {
  Case base;
  Numbers target, prior;
  Guarded mask, factors;
  SoftTarget soft;
  double factor, teacher_temperature;

  static SoftCase draw(Dice& dice) {
    const int64_t classes_of[] = {1,  2,  3,  4,   7,    8,    9,    15,   16,   17,   31,
                                  33, 64, 65, 127, 1000, 2047, 2048, 2049, 4096, 5000, 10241};
    const int64_t classes = dice.one_of(classes_of), count = 1 + dice.below(5);
    return SoftCase(dice, static_cast<Type>(dice.below(kTypes)), count, classes);
  }

  SoftCase(Dice& dice, Type type, int64_t count, int64_t classes)
      : base(dice, type, count, classes, 1),
        target(type, count * classes),
        prior(type == kFloat64 ? kFloat64 : kFloat32, classes),
        mask(count),
        factors(count * 8),
        factor(dice.chance(0.5) ? 1 : dice.normal()) {
    const bool is_teacher = dice.chance(0.4), smoothed = dice.chance(0.4);
    const double sizes[] = {0, 1, 3, 30, 300}, size = dice.one_of(sizes);
    const double rare = dice.chance(0.5) ? 1.0 : 0.1;
    for (int64_t i = 0; i < count * classes; ++i) {
      const double mass = dice.chance(rare) ? std::fabs(dice.normal()) : 0;
      target.set(i, is_teacher ? dice.normal() * size : mass);
      // mostly what is masked has no mass, which is no loss
      if (std::isinf(base.logits.get(i)) && dice.chance(0.99))
        target.set(i, is_teacher ? -kInfinity : 0);
    }
    for (int64_t j = 0; j < classes; ++j)
      prior.set(j, base.logits.get(j) == -kInfinity ? 0 : std::fabs(dice.normal()));
    const bool masked = dice.chance(0.3), weighted = dice.chance(0.3);
    for (int64_t i = 0; i < count; ++i) {
      mask.as<uint8_t>()[i] = dice.chance(0.7);
      factors.as<double>()[i] = dice.normal();
    }
    teacher_temperature = dice.chance(0.5) ? 1 : 3;
    soft = {target.data(),
            is_teacher,
            1 / teacher_temperature,
            is_teacher || !dice.chance(0.4) ? nullptr : base.weight.data(),
            smoothed && dice.chance(0.5) ? prior.data() : nullptr,
            smoothed ? 0.8 : 1.0,
            smoothed ? 0.2 / static_cast<double>(classes) : 0.0,
            is_teacher || !dice.chance(0.3) ? 0.0 : 0.1,
            masked ? mask.as<uint8_t>() : nullptr,
            weighted ? factors.as<double>() : nullptr};
    base.weighted = false;
    base.rows.target = nullptr;
    base.rows.weight = nullptr;
  }

  std::string name() const {
    return base.name() + (soft.is_teacher ? " teacher" : " soft") +
           (soft.class_weight ? " weight" : "") + (soft.spread != 0 ? " smoothed" : "") +
           (soft.prior ? " prior" : "") + (soft.z_loss != 0 ? " z-loss" : "") +
           (soft.mask ? " mask" : "") + (soft.row_factor ? " factors" : "");
  }
};

// A row by the definitions, and how far float arithmetic may be from them.
struct SoftTruth {
  double loss = 0, loss_tolerance = 0, lse = 0, mass = 0, sum = 0, delta = 0;
  std::vector<double> w;
};

// The weights of a row's classes, and what they add to the loss.
void weigh(const SoftCase& c, int64_t row, double epsilon, SoftTruth& t) {
  const int64_t classes = c.base.rows.classes;
  if (!c.soft.is_teacher) {
    for (int64_t j = 0; j < classes; ++j) {
      const double own = c.soft.class_weight ? c.base.weight.get(j) : 1;
      const double share = c.soft.spread * (c.soft.prior ? c.prior.get(j) : 1);
      const double mass = c.target.get(row * classes + j);
      t.w[j] = own * (c.soft.keep * mass + share);
      t.mass += own * mass;
    }
    return;
  }
  t.mass = 1;
  double top = -kInfinity, low = kInfinity, total = 0;
  const auto logit = [&](int64_t j) {
    return c.target.get(row * classes + j) / c.teacher_temperature;
  };
  for (int64_t j = 0; j < classes; ++j) {
    top = std::fmax(top, logit(j));
    if (std::isfinite(logit(j))) low = std::fmin(low, logit(j));
  }
  for (int64_t j = 0; j < classes; ++j) total += std::exp(logit(j) - top);
  const double delta = 16 * kEpsilon[c.base.type] * (1 + std::fmin(top - low, 745));
  t.delta += delta;
  for (int64_t j = 0; j < classes; ++j) {
    t.w[j] = std::exp(logit(j) - top) / total;
    if (t.w[j] == 0) continue;
    const double log_w = logit(j) - top - std::log(total);
    t.loss += t.w[j] * log_w;
    t.loss_tolerance += (epsilon + delta) * t.w[j] * (1 + std::fabs(log_w));
  }
}

SoftTruth soft_truth(const SoftCase& c, int64_t row) {
  const Case& base = c.base;
  const int64_t classes = base.rows.classes;
  const double epsilon = (64 + static_cast<double>(classes) / 32) * kEpsilon[base.type];
  SoftTruth t;
  t.w.resize(static_cast<size_t>(classes));
  double top = -kInfinity, low = kInfinity, far = 0, rest = 0, tops = 0;
  bool strange = false;
  for (int64_t j = 0; j < classes; ++j) {
    const double z = adjusted(base, row, j);
    strange |= z != z || z == kInfinity;
    top = std::fmax(top, z);
    if (std::isfinite(z)) low = std::fmin(low, z), far = std::fmax(far, std::fabs(z));
  }
  strange |= top == -kInfinity;
  for (int64_t j = 0; j < classes; ++j) {
    const double below = adjusted(base, row, j) - top;
    (below == 0 ? tops : rest) += std::exp(below);
  }
  const double excess = std::log1p(tops - 1 + rest);
  t.lse = top + excess;
  double spread = 1 + std::fmin(std::fmax(top - low, 0), 745);
  const bool as_given = base.rows.cap == 0 && !base.rows.bias && base.rows.scale == 1;
  if (!as_given) spread += far + (base.rows.cap != 0 ? 300 : 0);
  t.delta = 16 * kEpsilon[base.type] * spread + 4 * kEpsilon[kFloat64] * far;
  weigh(c, row, epsilon, t);
  for (int64_t j = 0; j < classes; ++j) {
    t.sum += t.w[j];
    if (t.w[j] == 0) continue;
    const double nll = excess + (top - adjusted(base, row, j));
    t.loss += t.w[j] * nll;
    t.loss_tolerance += t.w[j] * ((epsilon + t.delta) * nll + t.delta * -std::expm1(-nll));
  }
  const double z_loss = c.soft.z_loss * t.mass;
  if (z_loss != 0) {
    t.loss += z_loss * t.lse * t.lse;
    t.loss_tolerance +=
        z_loss * (std::fabs(t.lse) + t.delta) * (epsilon * std::fabs(t.lse) + 2 * t.delta);
  }
  if (strange) t.loss = t.lse = kNaN;
  return t;
}

void run_soft(const Kernels& level, Dice& dice, uint64_t seed) {
  const SoftCase c = SoftCase::draw(dice);
  const Case& base = c.base;
  const int64_t count = base.rows.count(), classes = base.rows.classes, cut = count / 2;
  const Guarded losses(count * 8), masses(count * 8), alone(count * 8);
  const Numbers out(base.type, count * classes);
  const Gradient to = {out.data(), base.stream}, nowhere = {nullptr, false};
  const double epsilon = (64 + static_cast<double>(classes) / 32) * kEpsilon[base.type];
  bool done = true;
  for (const int64_t begin : {int64_t{0}, cut}) {
    const int64_t end = begin == cut ? count : cut;
    done &= level.soft[base.type](base.rows, c.soft, c.factor, to, begin, end, losses.as<double>());
    done &= level.soft[base.type](base.rows, c.soft, 1, nowhere, begin, end, alone.as<double>());
    if (!c.soft.is_teacher)
      done &= level.soft_mass[base.type](base.rows, c.soft, begin, end, masses.as<double>());
  }
  const auto check = [&](const char* what, int64_t row, double f, double w, double allowed) {
    if (same(f, w, allowed, base.type) || ++failures > 20) return;
    std::printf("%s, %s, seed %llu: %s of row %lld is %.17g, wanted %.17g +- %.2g\n", level.level,
                c.name().c_str(), static_cast<unsigned long long>(seed), what,
                static_cast<long long>(row), f, w, allowed);
  };
  check("memory for a row", 0, done, 1, 0);
  const bool agree = !std::memcmp(losses.as<char>(), alone.as<char>(), size_t(count * 8));
  check("agreement of losses with and without a gradient", 0, agree, 1, 0);
  for (int64_t row = 0; row < count; ++row) {
    const bool masked = c.soft.mask && !c.soft.mask[row];
    const SoftTruth t = soft_truth(c, row);
    check("loss", row, losses.as<double>()[row], masked ? 0 : t.loss,
          masked ? 0 : t.loss_tolerance + 1e-35);
    if (!c.soft.is_teacher)
      check("mass", row, masses.as<double>()[row], masked ? 0 : t.mass, epsilon * t.mass);
    const double pull = t.sum + 2 * c.soft.z_loss * t.mass * t.lse;
    const double by = c.factor * (c.soft.row_factor ? c.soft.row_factor[row] : 1);
    for (int64_t j = 0; j < classes; ++j) {
      const double p = std::exp(adjusted(base, row, j) - t.lse);
      double slope = by / base.temperature;
      if (base.rows.cap != 0) {
        const double decay =
            std::exp(-2 * std::fabs(base.logits.get(row * classes + j) / base.rows.cap));
        slope *= 4 * decay / ((1 + decay) * (1 + decay));
      }
      const double want = masked ? 0 : slope * (pull * p - t.w[j]);
      const double terms = std::fabs(slope) * (std::fabs(pull) * p + t.w[j]) +
                           std::fabs(by) * 2 * c.soft.z_loss * t.mass * p * t.delta;
      const double allowed = kRounding[base.type] * std::fabs(want) +
                             (epsilon + 8 * t.delta) * terms +
                             2 * kLeast[base.type] * (1 + std::fabs(by) + std::fabs(slope * pull));
      check("gradient", row, out.get(row * classes + j), want, masked ? 0 : allowed);
    }
  }
  const bool kept = out.intact_before() && losses.intact_before() && masses.intact_before();
  check("memory before an output kept", 0, kept, 1, 0);
}

}  // namespace
