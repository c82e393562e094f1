// `moments` against its definitions in plain double.
#pragma once

#include "cases.h"

namespace {

void run_moments(const Kernels& level, Dice& dice, uint64_t seed) {
  const int64_t classes_of[] = {1,  2,  3,  4,   7,   8,   9,   15,   16,   17,   31,
                                33, 64, 65, 100, 127, 128, 129, 1000, 2048, 2049, 5000};
  const int64_t classes = dice.one_of(classes_of), count = 1 + dice.below(70), cut = count / 3;
  const Case c(dice, static_cast<Type>(dice.below(kTypes)), classes > 1000 ? 3 : count, classes, 1);
  Rows plain = c.rows;
  plain.cap = 0, plain.scale = 1, plain.bias = nullptr;
  const int64_t rows = plain.count(), middle = classes > 1000 ? 1 : cut;
  const double betas[] = {0, 1e-3, 0.7, 1, 30}, beta = dice.one_of(betas);
  const Guarded table(3 * rows * 8);
  double* base = table.as<double>();
  const Moments out = {beta, base, base + rows, base + 2 * rows};
  level.moments[c.type](plain, out, 0, middle);
  level.moments[c.type](plain, out, middle, rows);
  // a 16-bit logit is exact in float; sums have the roundings of their type
  const double epsilon = (64 + static_cast<double>(classes) / 32) * kEpsilon[c.type];
  for (int64_t row = 0; row < rows; ++row) {
    double top = -kInfinity, low = kInfinity, far = 0;
    bool strange = false;
    for (int64_t j = 0; j < classes; ++j) {
      const double z = c.logits.get(c.at(row, j));
      strange |= z != z || z == kInfinity;
      top = std::fmax(top, z);
      if (std::isfinite(z)) low = std::fmin(low, z), far = std::fmax(far, std::fabs(z));
    }
    strange |= top == -kInfinity;
    double total = 0, first = 0, second = 0;
    for (int64_t j = 0; j < classes; ++j) {
      const double t = c.logits.get(c.at(row, j)) - top;
      if (!(t > -kInfinity)) continue;
      const double e = std::exp(beta * t);
      total += e, first += e * t, second += e * t * t;
    }
    const double spread = std::fmax(top - low, 0), mean = first / total;
    const double reach = std::fmin(spread, beta > 0 ? 100 / beta : spread);
    const double delta = epsilon * (1 + beta * reach);
    const double own = 4 * kEpsilon[kFloat64] * far;
    const double wanted[] = {beta * top + std::log(total), top + mean,
                             second / total - mean * mean};
    const double allowed[] = {delta + own * beta + 1e-14, delta * reach + own + 1e-300,
                              delta * reach * reach * 4 + 1e-300};
    const char* const names[] = {"lse", "mean", "variance"};
    for (int k = 0; k < 3; ++k) {
      const double found = base[k * rows + row], want = strange ? kNaN : wanted[k];
      expect(near(found, want, strange ? 0 : allowed[k]), level, c, seed, names[k], row, found,
             want);
    }
  }
  expect(table.intact_before(), level, c, seed, "memory before moments", 0, 0, 0);
}

}  // namespace
