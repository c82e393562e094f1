// One call of the training loss: from its options, which are the same for all batches, and one
// batch's rows to the passes over them.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "evaluate.h"
#include "kernels.h"

// The numbers among the options, in the order that Python passes them in.
struct TrainNumbers {
  TrainNumbers(int64_t ignored, double softcap, double inverse_temperature,
               const std::vector<std::array<double, 4>>& rule, double label_smoothing,
               double smoothing_share, double squared_lse, bool mean, double normalizer,
               bool empty_is_zero)
      : ignore_index(ignored),
        cap(softcap),
        scale(inverse_temperature),
        smoothing(label_smoothing),
        share(smoothing_share),
        z_loss(squared_lse),
        reduction{mean, normalizer, empty_is_zero} {
    for (const auto& [kind, factor, parameter, least] : rule) {
      if (!(kind >= 0 && kind < kRuleKinds)) throw std::invalid_argument("no such rule");
      terms.push_back({static_cast<RuleKind>(static_cast<int>(kind)), factor, parameter, least,
                       std::log(least)});
      needs_weighted |= terms.back().kind == kNormalized;
    }
    if (terms.empty()) throw std::invalid_argument("no rule");
  }

  int64_t ignore_index;
  double cap, scale;
  std::vector<RuleTerm> terms;
  double smoothing, share, z_loss;
  Reduction reduction;
  bool needs_weighted = smoothing != 0;  // the sum over the classes of the weighted logits
};

// The arrays among the options, each of them or null; the first three by class.
struct TrainArrays {
  const void *weight, *bias, *class_weight;
  const double* sample_weight;
};

// What goes with the classes, in double where the logits are, else in float.
inline std::vector<double> numbers_of(const void* from, Type type, int64_t classes) {
  if (from == nullptr) return {};
  if (type == kFloat64) {
    const double* numbers = static_cast<const double*>(from);
    return {numbers, numbers + classes};
  }
  const float* numbers = static_cast<const float*>(from);
  return {numbers, numbers + classes};
}

// A weight of 1 for each class, in the logits' type.
inline std::vector<double> ones_of(Type type, int64_t classes) {
  std::vector<double> ones(static_cast<size_t>(classes), 1.0);
  if (type == kFloat64) return ones;
  auto* narrow = reinterpret_cast<float*>(ones.data());
  for (int64_t j = 0; j < classes; ++j) narrow[j] = 1.0f;
  return ones;
}

// The index of the first row whose target is out of range (then nothing was written), or -1; and
// the loss. Its gradient times `upstream` goes to gradient.data, unless that is null.
inline std::pair<int64_t, double> train(const Kernels& kernels, const TrainNumbers& numbers,
                                        const TrainArrays& arrays, Type type, Rows rows,
                                        double upstream, const Gradient& gradient,
                                        int64_t threads) {
  rows.ignore_index = numbers.ignore_index;
  rows.cap = numbers.cap;
  rows.scale = numbers.scale;
  rows.bias = arrays.bias;
  rows.weight = arrays.weight;
  rows.weight_total = static_cast<double>(rows.classes);
  int64_t counted;
  const int64_t bad = kernels.check(rows, &counted);
  if (bad >= 0) return {bad, 0.0};
  std::vector<double> ones;
  if (rows.weight != nullptr) {
    const std::vector<double> given = numbers_of(rows.weight, type, rows.classes);
    rows.weight_total = std::accumulate(given.begin(), given.end(), 0.0);
  } else if (numbers.needs_weighted) {
    ones = ones_of(type, rows.classes);
    rows.weight = ones.data();
    rows.even = true;
  }
  const std::vector<double> by_class = numbers_of(arrays.class_weight, type, rows.classes);
  const Objective objective = {numbers.terms.data(),
                               static_cast<int64_t>(numbers.terms.size()),
                               by_class.empty() ? nullptr : by_class.data(),
                               arrays.sample_weight,
                               numbers.smoothing,
                               numbers.share,
                               numbers.z_loss};
  return {-1, evaluate(kernels, type, rows, objective, numbers.reduction, counted, upstream,
                       gradient, threads)};
}
