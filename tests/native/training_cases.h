// `train` against its formulas in plain double, between the statistics and the gradient pass that
// are tested by themselves.
#pragma once

#include <algorithm>
#include <vector>

#include "cases.h"
#include "evaluate.h"

namespace {

// ---- a training run -----------------------------------------------------------------------------

struct Training {
  std::vector<RuleTerm> terms;
  Numbers class_weight, sample_weight;
  Objective objective{};
  double factor;
  int64_t chunk, apart;

  Training(Dice& dice, Case& c)
      : class_weight(kFloat64, c.rows.classes),
        sample_weight(kFloat64, c.rows.count()),
        factor(dice.chance(0.3) ? 1.0 : std::fabs(dice.normal()) + 0.01),
        apart(dice.chance(0.2)) {
    const int64_t chunks[] = {1, 2, 7, 63, 64, 65, 1000};
    const double factors[] = {0, 1e-30, -1, 65536, kNaN};
    chunk = dice.one_of(chunks);
    if (dice.chance(0.1)) factor = dice.one_of(factors);
    draw_terms(dice, c.rows.cap != 0);
    draw_weights(dice, c);
    if (dice.chance(0.3)) objective.z_loss = dice.chance(0.5) ? 0.1 : 1e-4;
    if (dice.chance(0.4)) {
      objective.smoothing = dice.chance(0.8) ? 0.1 : 1.0;
      objective.share = objective.smoothing / static_cast<double>(c.rows.classes);
      c.weighted = true;
      c.rows.weight = c.weight.data();
    }
    objective.terms = terms.data();
    objective.count = static_cast<int64_t>(terms.size());
    if (dice.chance(0.5)) hide_ignored(c);
  }

  int64_t chunks(const Case& c) const { return (c.rows.count() + chunk - 1) / chunk; }

 private:
  // Where a cap's slope is 0, what it multiplies must not overflow before: then slopes are modest.
  void draw_terms(Dice& dice, bool modest) {
    const double gammas[] = {0, 0.3, 0.5, 1, 1.5, 2, 5, 9}, shifts[] = {0, 5, 22.4, 480};
    const double powers[] = {-1, -0.5, -0.1, 1e-3, 0.5, 0.7, 1, 2}, leasts[] = {0, 0, 1e-3, 0.4};
    const double degrees[] = {1, 2, 6}, factors[] = {1, 1, 0.1, 3};
    const int64_t count = dice.chance(0.6) ? 1 : 2 + dice.below(2);
    for (int64_t k = 0; k < count; ++k) {
      RuleTerm term = {static_cast<RuleKind>(dice.below(kNormalized)), dice.one_of(factors), 0, 0,
                       0};
      if (term.kind == kProbRest && dice.chance(0.3)) term.factor = -0.5;
      if (term.kind == kFocal) term.parameter = dice.one_of(gammas);
      if (term.kind == kMargin) term.parameter = modest ? 5 : dice.one_of(shifts);
      if (term.kind == kTaylor) term.parameter = dice.one_of(degrees);
      if (term.kind == kDeformed) {
        term.least = dice.one_of(leasts);
        term.log_least = std::log(term.least);
        // log p itself is another rule, unless it is bounded
        term.parameter = term.least > 0 && dice.chance(0.3) ? 0 : dice.one_of(powers);
      }
      if (modest) term.parameter = std::fabs(term.parameter);
      terms.push_back(term);
    }
    if (dice.chance(0.2)) terms = {{kLogProb, 1, 0, 0}};  // which has a short cut
  }
  void draw_weights(Dice& dice, const Case& c) {
    const auto draw = [&] { return dice.chance(0.1) ? 0.0 : std::fabs(dice.normal()) + 0.1; };
    for (int64_t j = 0; j < c.rows.classes; ++j) class_weight.set(j, draw());
    for (int64_t i = 0; i < c.rows.count(); ++i) sample_weight.set(i, draw());
    if (dice.chance(0.3)) objective.class_weight = static_cast<const double*>(class_weight.data());
    if (dice.chance(0.3))
      objective.sample_weight = static_cast<const double*>(sample_weight.data());
  }
  void hide_ignored(Case& c) {
    for (int64_t i = 0; i < c.rows.count(); ++i) {
      if (c.rows.target[i] != c.rows.ignore_index) continue;
      sample_weight.set(i, kNaN);
      for (int64_t j = 0; j < c.rows.classes; ++j) c.logits.set(c.at(i, j), kNaN);
    }
  }
};

// ---- the formulas -------------------------------------------------------------------------------

struct Plain {
  double value, slope;
};

Plain plain_rule(const RuleTerm& term, const Truth& t) {
  const double p = t.prob, q = t.prob_rest, x = term.parameter;
  const double u = term.least > 0 ? std::fmax(t.log_prob, std::log(term.least)) : t.log_prob;
  if (t.log_prob != t.log_prob) return {kNaN, kNaN};
  switch (term.kind) {
    case kLogProb:
      return {-u, 1};
    case kProbRest:
      return {q, p};
    case kFocal:
      if (q == 0) return {x == 0 ? -u : 0, x == 0 ? 1.0 : 0};
      return {-std::pow(q, x) * u, std::pow(q, x) - (p == 0 ? 0 : x * p * u * std::pow(q, x - 1))};
    case kDeformed: {
      const double slope = std::fmin(std::exp(x == 0 ? 0 : x * u), 1e300);
      const double value = x == 0 ? -u : slope == 1e300 ? kInfinity : -std::expm1(x * u) / x;
      return {value, term.least > 0 && p <= term.least ? 0 : slope};
    }
    case kTaylor: {
      double value = 0, slope = 0;
      for (int i = 1; i <= x; ++i) {
        value += std::pow(q, i) / i;
        slope += p * std::pow(q, i - 1);
      }
      return {value, slope};
    }
    default: {
      const double over = x - (u - std::log(q));
      return {std::fmax(over, 0) + std::log1p(std::exp(-std::fabs(over))),
              1 / (q + p * std::exp(-x))};
    }
  }
}

// A row's loss, and the slopes of it times the factor.
struct Wanted {
  double value, a, b, c;
};

Wanted wanted_of(const Case& c, const Training& training, const Truth& t, int64_t row) {
  const Objective& o = training.objective;
  const double by_class = o.class_weight ? o.class_weight[c.rows.target[row]] : 1;
  const double own = o.sample_weight ? o.sample_weight[row] : 1;
  double value = 0, slope = 0;
  for (const RuleTerm& term : training.terms) {
    const Plain plain = plain_rule(term, t);
    value += term.factor * plain.value;
    slope += term.factor * plain.slope;
  }
  const double rest = 1 - o.smoothing, steeper = 2 * o.z_loss * t.lse * by_class;
  value = o.smoothing == 0 ? value : value * rest;
  value = by_class == 0 ? 0 : by_class * (o.z_loss == 0 ? value : value + o.z_loss * t.lse * t.lse);
  double a = slope * rest * by_class + (o.z_loss == 0 ? 0 : steeper), push = 0;
  if (o.smoothing != 0) {
    value += o.share * t.weighted_nll;
    a += o.share * c.rows.weight_total;
    push = o.share;
  }
  const double scale = own * training.factor;
  return {own == 0 ? 0 : own * value, a * scale, slope * rest * by_class * scale, push * scale};
}

// The statistics, were the margin so much more.
Truth moved(const Truth& t, double delta, double weight_total) {
  Truth other = t;
  other.log_prob += delta * t.prob_rest;
  other.prob *= 1 + delta * t.prob_rest;
  other.prob_rest *= 1 - delta * t.prob;
  other.lse -= delta;
  other.weighted_nll -= delta * weight_total;
  return other;
}

// ---- the comparison -----------------------------------------------------------------------------

// Rounding errors of a row's value and slopes, and of what the gradient makes of them.
struct Tolerance {
  double value, a, b, share;
};

Tolerance tolerance_of(const Case& c, const Training& training, const Truth& t, double spread,
                       const Wanted& w, int64_t row) {
  const double epsilon = (64 + static_cast<double>(c.rows.classes) / 32) * kEpsilon[c.type];
  const double delta = 16 * kEpsilon[c.type] * spread + 4 * kEpsilon[kFloat64] * std::fabs(t.lse);
  const Wanted low = wanted_of(c, training, moved(t, -delta, c.rows.weight_total), row);
  const Wanted high = wanted_of(c, training, moved(t, delta, c.rows.weight_total), row);
  const double steep = std::log(std::fmax(std::fabs(w.a), 1));  // may be in an exponent
  const auto between = [&](double one, double other, double size) {
    return 2 * std::fabs(one - other) + epsilon * std::fabs(size);
  };
  return {between(low.value, high.value, w.value) + 1e-35, between(low.a, high.a, w.a),
          between(low.b, high.b, w.b),
          epsilon + kRounding[c.type] + 8 * delta + 16 * kEpsilon[c.type] * steep};
}

// The target of each row's statistics, by the pass of its own.
std::vector<Truth> statistics_of(const Kernels& level, const Case& c) {
  const int64_t count = c.rows.count();
  std::vector<double> table(static_cast<size_t>(5 * count + 1));
  double* base = table.data();
  const Statistics out = {base, base + count, base + 2 * count, base + 3 * count,
                          c.weighted ? base + 4 * count : nullptr};
  level.statistics[c.type](c.rows, out, 0, count);
  std::vector<Truth> rows(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Truth& t = rows[static_cast<size_t>(i)];
    t.lse = out.lse[i], t.log_prob = out.log_prob[i];
    t.prob = out.prob[i], t.prob_rest = out.prob_rest[i];
    t.weighted_nll = c.weighted ? out.weighted_nll[i] : 0;
  }
  return rows;
}

void train(const Kernels& level, const Case& c, const Training& training, uint64_t seed) {
  const int64_t count = c.rows.count(), classes = c.rows.classes, chunks = training.chunks(c);
  std::vector<double> sums(static_cast<size_t>(chunks)), allowed(sums), slack(sums);
  Numbers wanted(kFloat64, count * classes), tolerance(kFloat64, count * classes);
  const std::vector<Truth> truths = statistics_of(level, c);
  for (int64_t row = 0; row < count; ++row) {
    const bool ignored = c.rows.target[row] == c.rows.ignore_index;
    const auto chunk = static_cast<size_t>(row / training.chunk);
    const Truth& t = truths[static_cast<size_t>(row)];
    const Wanted w = ignored ? Wanted{} : wanted_of(c, training, t, row);
    const double spread = ignored ? 0 : truth_of(c, row).spread;
    const Tolerance near = ignored ? Tolerance{} : tolerance_of(c, training, t, spread, w, row);
    sums[chunk] += w.value;
    slack[chunk] += std::fabs(w.value);
    allowed[chunk] += near.value;
    for (int64_t j = 0; j < classes; ++j) {
      const int64_t at = c.at(row, j);
      wanted.set(at, 0), tolerance.set(at, 0);
      if (ignored) continue;
      const bool own = j == c.rows.target[row];
      const double p = own ? t.prob : std::exp(adjusted(c, row, j) - t.lse);
      const double q = own ? t.prob_rest : 0, push = w.c == 0 ? 0 : w.c * c.weight.get(j);
      const double slope = (own ? (w.a - w.b) * p - w.b * q : w.a * p) - push;
      const double terms = own ? std::fabs(w.b) * (p + q) : 0;
      const double size = std::fabs(w.a) * p + terms + std::fabs(push);
      // numbers near the least are flushed, before they are multiplied or after
      const double least = kLeast[c.type] + std::fmin(std::fabs(w.a), 1e30) * 3e-38;
      wanted.set(at, slope * chain(c, row, j));
      tolerance.set(
          at, (near.share * size + near.a * p + (own ? near.b : 0)) / c.temperature + 2 * least);
    }
  }

  const Numbers fresh(c.type, count * classes, training.apart);
  const Guarded losses(chunks * 8), alone(chunks * 8);
  const Numbers& out = c.in_place ? c.logits : fresh;
  const auto run = [&](void* to, const Guarded& sum) {
    const Gradient gradient = {to, c.stream && !c.in_place && to != nullptr};
    const auto over = [&](int64_t begin, int64_t end) {
      level.train[c.type](c.rows, training.objective, training.factor, gradient, training.chunk,
                          begin, end, sum.as<double>());
    };
    over(0, chunks / 3);
    over(chunks / 3, chunks);
  };
  run(nullptr, alone);
  run(out.data(), losses);
  for (int64_t k = 0; k < chunks; ++k) {
    const auto at = static_cast<size_t>(k);
    const double permitted = allowed[at] + 1e-14 * slack[at];
    for (const Guarded* sum : {&alone, &losses})
      expect(same(sum->as<double>()[k], sums[at], permitted, kFloat64), level, c, seed,
             sum == &alone ? "loss alone" : "loss", k, sum->as<double>()[k], sums[at]);
  }
  for (int64_t row = 0; row < count; ++row)
    for (int64_t j = 0; j < classes; ++j) {
      const int64_t at = c.at(row, j);
      const double f = out.get(at), w = wanted.get(at);
      expect(same(f, w, tolerance.get(at), c.type), level, c, seed, "trained gradient", row, f, w);
    }
  expect(out.intact_before() && c.logits.intact_before(), level, c, seed,
         "memory before a trained gradient", 0, 0, 0);
}

// Rows that fit in no scratch memory, or just do.
void train_at_length(const Kernels& level) {
  const struct {
    Type type;
    int64_t outer, classes, inner;
  } shapes[] = {{kFloat32, 2, 530000, 1}, {kFloat64, 2, 270000, 1}, {kBFloat16, 3, 100000, 1},
                {kFloat32, 1, 8001, 3},   {kFloat64, 2, 4100, 2},   {kFloat16, 1, 7900, 3}};
  for (const auto& shape : shapes) {
    Dice dice(static_cast<uint64_t>(shape.classes));
    Case c(dice, shape.type, shape.outer, shape.classes, shape.inner);
    const Training training(dice, c);
    train(level, c, training, 0);
  }
}

// What threads make of it is what one thread makes of it; and what a mean divides by.
void evaluate_on_threads(const Kernels& level) {
  Dice dice(1);
  Case c(dice, kFloat32, 3000, 1000, 1);
  for (int64_t i = 0; i < c.rows.count() * c.rows.classes; ++i) c.logits.set(i, dice.normal());
  c.rows.weight = nullptr;
  int64_t counted;
  level.check(c.rows, &counted);
  const RuleTerm focal = {kFocal, 1, 2, 0, 0};
  Objective objective{};
  objective.terms = &focal, objective.count = 1;
  const int64_t bytes = c.rows.count() * c.rows.classes * 4;
  const Guarded one(bytes), several(bytes);
  const auto loss = [&](const Guarded& to, int64_t threads, const Reduction& reduction) {
    const Gradient gradient = {to.as<void>(), false};
    return evaluate(level, c.type, c.rows, objective, reduction, counted, 1.0, gradient, threads);
  };
  const auto compare = [&](const char* what, double found, double wanted, double tolerance) {
    expect(near(found, wanted, tolerance * std::fabs(wanted)), level, c, 1, what, 0, found, wanted);
  };
  const Reduction mean = {true, kNaN, false}, sum = {false, kNaN, false};
  const double first = loss(one, 1, mean), total = loss(one, 1, sum);
  loss(one, 1, mean);
  compare("loss on threads", loss(several, 4, mean), first, 0);
  const int differ = std::memcmp(one.as<char>(), several.as<char>(), static_cast<size_t>(bytes));
  compare("gradient on threads", differ, 0, 0);
  compare("mean", first, total / static_cast<double>(counted), 1e-12);
  compare("normalizer", loss(one, 1, {true, 7, false}), total / 7, 1e-12);
  const std::vector<double> nothing(static_cast<size_t>(c.rows.classes), 0.0);
  objective.class_weight = nothing.data();
  compare("mean of nothing", loss(one, 1, mean), kNaN, 0);
  compare("empty mean", loss(one, 1, {true, kNaN, true}), 0, 0);
}

// The first bad target and the number of rows that count, around the blocks that are looked at.
void check_targets(const Kernels& level) {
  Dice dice(1);
  const int64_t counts[] = {0, 1, 5, 4095, 4096, 4097, 10000}, kinds[] = {-100, -1, 0, 2, 7};
  for (int k = 0; k < 200; ++k) {
    const int64_t count = dice.one_of(counts), ignore_index = dice.one_of(kinds);
    const Guarded target(count * 8);
    int64_t bad = -1, wanted = 0;
    const double odd = dice.chance(0.5) ? 1e-3 : 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t strange[] = {-1, 5, std::numeric_limits<int64_t>::min(), int64_t{1} << 40};
      const int64_t y = dice.chance(odd)   ? dice.one_of(strange)
                        : dice.chance(0.3) ? ignore_index
                                           : dice.below(5);
      target.as<int64_t>()[i] = y;
      if (y == ignore_index) continue;
      if (bad < 0 && (y < 0 || y >= 5)) bad = i;
      ++wanted;
    }
    const Rows rows = {
        nullptr, target.as<int64_t>(), count, 5, 1, ignore_index, 0, 1, nullptr, nullptr, 0, false};
    int64_t counted;
    const int64_t found = level.check(rows, &counted);
    if (found == bad && (bad >= 0 || counted == wanted)) continue;
    ++failures;
    std::printf("%s: of %lld targets the first bad one is %lld, found %lld\n", level.level,
                static_cast<long long>(count), static_cast<long long>(bad),
                static_cast<long long>(found));
  }
}

}  // namespace
