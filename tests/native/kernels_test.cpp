// The kernels of every level against plain loops in double, on random rows: a test without Python,
// for other processors under emulation and for sanitizers.
//
//   kernels_test [cases] [seed]
//
// Every array ends where a page begins that may not be touched.
#include "kernels.h"

#include "cases.h"
#include "element_cases.h"
#include "levels.h"
#include "moments_cases.h"
#include "parallel.h"
#include "soft_cases.h"
#include "training_cases.h"

#define CROSSENTROPY_DECLARE(level) extern "C" const Kernels kernels_##level;
#define CROSSENTROPY_ENTRY(level) &kernels_##level,
CROSSENTROPY_LEVELS(CROSSENTROPY_DECLARE)

namespace {

const Kernels* const kLevels[] = {CROSSENTROPY_LEVELS(CROSSENTROPY_ENTRY)};

void run(const Kernels& level, const Case& c, uint64_t seed) {
  const int64_t count = c.rows.count(), classes = c.rows.classes;
  const Guarded table(5 * count * 8), argmax(count * 8), top_prob(count * 8);
  const Guarded square_rest(count * 8);
  double* base = table.as<double>();
  const Statistics found = {base,
                            base + count,
                            base + 2 * count,
                            base + 3 * count,
                            c.weighted ? base + 4 * count : nullptr,
                            argmax.as<int64_t>(),
                            top_prob.as<double>(),
                            square_rest.as<double>()};
  // ranges as threads get them, however few rows there are
  const int64_t cut = count / 3;
  for (const int64_t begin : {int64_t{0}, cut})
    level.statistics[c.type](c.rows, found, begin, begin == cut ? count : cut);
  const Numbers fresh(c.type, count * classes);
  const Numbers& out = c.in_place ? c.logits : fresh;
  const Slopes slopes = {c.stored(0), c.stored(1),
                         c.weighted ? c.stored(2) : Coefficient{nullptr, 0}};

  // the truth first: the gradient may replace the logits
  const Numbers wanted(kFloat64, count * classes), tolerance(kFloat64, count * classes);
  const double epsilon = (64 + static_cast<double>(classes) / 32) * kEpsilon[c.type];
  for (int64_t row = 0; row < count; ++row) {
    const bool ignored = c.rows.target[row] == c.rows.ignore_index;
    for (int64_t j = 0; j < classes && ignored; ++j) {
      const_cast<Numbers&>(wanted).set(c.at(row, j), 0);
      const_cast<Numbers&>(tolerance).set(c.at(row, j), 0);
    }
    if (ignored) continue;
    const Truth t = truth_of(c, row);
    // the logsumexp leaves the statistics in double, whatever the type
    const double delta = 16 * kEpsilon[c.type] * t.spread + 4 * kEpsilon[kFloat64] * t.far;
    const auto check = [&](const char* what, double f, double w, double allowed) {
      expect(near(f, w, allowed), level, c, seed, what, row, f, w);
    };
    check("log_prob", found.log_prob[row], t.log_prob,
          epsilon * std::fabs(t.log_prob) + delta * t.prob_rest + 1e-35);
    check("prob", found.prob[row], t.prob, (epsilon + delta) * t.prob + 1e-35);
    check("prob_rest", found.prob_rest[row], t.prob_rest, (epsilon + delta) * t.prob_rest + 1e-35);
    if (t.log_prob == t.log_prob) {
      check("square_rest", square_rest.as<double>()[row], t.square_rest,
            2 * (epsilon + delta) * t.square_rest + 1e-35);
      check("lse", found.lse[row], t.lse, epsilon * (1 + std::fabs(t.lse)) + delta);
      const bool ties = c.rows.cap != 0 || c.rows.scale != 1 || c.rows.bias;
      if (!ties)
        check("argmax", static_cast<double>(found.argmax[row]), static_cast<double>(t.argmax), 0);
    }
    if (c.weighted && t.log_prob == t.log_prob)
      check("weighted_nll", found.weighted_nll[row], t.weighted_nll,
            epsilon * std::fabs(t.weighted_nll) + delta * c.rows.weight_total);
    for (int64_t j = 0; j < classes; ++j) {
      const double w = gradient_of(c, t, row, j), terms = 3 * (c.weighted ? 4 : 1);
      const double share = epsilon + kRounding[c.type] + 8 * delta;
      const_cast<Numbers&>(wanted).set(c.at(row, j), w);
      const_cast<Numbers&>(tolerance).set(
          c.at(row, j), share * std::fabs(w) + (epsilon + 8 * delta) * terms + 2 * kLeast[c.type]);
    }
  }
  const Gradient to = {out.data(), c.stream && !c.in_place};
  level.gradient[c.type](c.rows, found, slopes, to, 0, cut);
  level.gradient[c.type](c.rows, found, slopes, to, cut, count);
  for (int64_t row = 0; row < count; ++row)
    for (int64_t j = 0; j < classes; ++j) {
      const double f = out.get(c.at(row, j)), w = wanted.get(c.at(row, j));
      expect(near(f, w, tolerance.get(c.at(row, j))), level, c, seed, "gradient", row, f, w);
    }
  const bool kept = out.intact_before() && c.logits.intact_before() && table.intact_before() &&
                    argmax.intact_before() && square_rest.intact_before();
  expect(kept, level, c, seed, "memory before an output", 0, 0, 0);
}

// What threads write is what one thread writes.
void run_on_threads(const Kernels& level) {
  Dice dice(1);
  const Case c(dice, kFloat32, 3000, 1000, 1);
  const int64_t count = c.rows.count();
  const Guarded one(4 * count * 8), several(4 * count * 8);
  const auto statistics = [&](const Guarded& table, int64_t threads) {
    double* base = table.as<double>();
    const Statistics out = {base, base + count, base + 2 * count, base + 3 * count};
    Rows rows = c.rows;
    rows.weight = nullptr;
    over_rows(count, rows.classes, threads,
              [&](int64_t begin, int64_t end) { level.statistics[c.type](rows, out, begin, end); });
  };
  statistics(one, 1);
  statistics(several, 4);
  const bool same = !std::memcmp(one.as<char>(), several.as<char>(), size_t(4 * count * 8));
  expect(same, level, c, 1, "threads", 0, 0, 0);
}

}  // namespace

int main(int argc, char** argv) {
  const long cases = argc > 1 ? std::atol(argv[1]) : 400;
  const uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  for (const Kernels* level : kLevels) {
    if (!level->supported()) {
      std::printf("%s: not supported here\n", level->level);
      continue;
    }
    for (uint64_t seed = first; seed < first + static_cast<uint64_t>(cases); ++seed) {
      Dice dice(seed);
      run(*level, Case::draw(dice), seed);
      Case c = Case::draw(dice);
      const Training training(dice, c);
      train(*level, c, training, seed);
      run_soft(*level, dice, seed);
      run_moments(*level, dice, seed);
      run_elements(*level, dice, seed);
    }
    run_on_threads(*level);
    check_targets(*level);
    train_at_length(*level);
    evaluate_on_threads(*level);
    std::printf("%s: %ld cases\n", level->level, cases);
  }
  if (failures) std::printf("%d wrong\n", failures);
  return failures != 0;
}
