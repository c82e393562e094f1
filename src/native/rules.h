// The scalar rules of the family that are sums of these terms, on lanes of rows. What they compute
// is what crossentropy.losses says in array code; here they run between the two passes over a row
// while it is in the cache.
//
// Included by level.cpp only; see vector.h for why everything is static.
#pragma once

#include "blocks.h"

namespace {

using Numbers = Vector<double>;

// What a rule may see of the target.
struct Target {
  Numbers log_prob, prob, prob_rest;
  Numbers weighted_nll;  // where it is known
  double classes;
};

// A loss f and its slopes b, a - b and c; it is a function of u = log p alone where but b is 0.
struct Ruled {
  Numbers value, slope, steeper{}, push{};
};

constexpr double kLeast = 1e-300;  // stands in for 0 where its powers are wanted
constexpr double kMost = 1e300;
constexpr double kLogMost = 690.77552789821368;  // log 1e300: beyond it slopes grow no more

// a where b is NaN: NaN stays.
inline Numbers at_least(double b, Numbers a) { return a < b ? broadcast(b) : a; }
inline Numbers at_most(double b, Numbers a) { return a > b ? broadcast(b) : a; }

// x^exponent for x >= 0.
inline Numbers power(Numbers x, double exponent) {
  if (exponent != ::floor(exponent) || exponent > 8) return exp<double>(log(x) * exponent);
  Numbers result = broadcast(1.0);
  for (int k = 0; k < static_cast<int>(exponent); ++k) result *= x;
  return result;
}

// (1 - p)^gamma (-u)
inline Ruled focal(const Target& row, double gamma) {
  const Numbers q = row.prob_rest, pu = row.prob * at_least(-1000.0, row.log_prob);
  if (gamma >= 1) {
    const Numbers lower = power(q, gamma - 1);
    return {-(lower * q) * row.log_prob, lower * (q - gamma * pu)};
  }
  const Numbers focus = power(q, gamma);
  return {-focus * row.log_prob, focus * (1.0 - gamma * pu / at_least(kLeast, q))};
}

// (1 - p^q) / q, constant for p <= least; its power is bounded where q > 0.
struct Deformed {
  double q, least, log_least;

  explicit Deformed(const RuleTerm& term)
      : q(term.parameter),
        least(term.least > 0 ? term.least : -1.0),
        log_least(term.least > 0 ? term.log_least : -kInfinity) {}

  template <bool bounded>
  Ruled at(const Target& row) const {
    const Numbers u = at_least(log_least, row.log_prob), exponent = u * q, zero{};
    const Numbers above = at_least(Exp<double>::lowest, exponent);
    const ExpAndLess<double> power =
        exp_and_less_within<double>(bounded ? above : at_most(kLogMost, above));
    const Numbers slope = exponent < Exp<double>::lowest ? zero : power.exp;
    Numbers value = power.less_one * (-1 / q);
    if (!bounded) {
      if (q == 0) value = -u;
      value = exponent > kLogMost ? broadcast(kInfinity) : value;
    }
    return {value, row.prob <= least ? zero : slope};
  }
};

// sum_{i <= degree} (1 - p)^i / i, whose slope is p sum_{i < degree} (1 - p)^i
inline Ruled taylor(const Target& row, int degree) {
  const Numbers q = row.prob_rest;
  Numbers value = broadcast(1.0 / degree), slope = broadcast(1.0);
  for (int i = degree - 1; i >= 1; --i) {
    value = value * q + 1.0 / i;
    slope = slope * q + 1.0;
  }
  return {q * value, row.prob * slope};
}

// softplus(shift - margin), the margin log p - log(1 - p)
inline Ruled margin(const Target& row, double shift) {
  const Numbers q = row.prob_rest, zero{};
  const Numbers over = shift - (row.log_prob - log(q));  // -inf for a certain row
  const Numbers tail = log1p(exp<double>(over > 0.0 ? -over : over));
  return {(over > 0.0 ? over : zero) + tail, 1.0 / (q + row.prob * ::exp(-shift))};
}

// n / D with n = -u and D = sum_j -log p_j
inline Ruled normalized(const Target& row) {
  const Numbers nll = at_most(kMost, -row.log_prob);
  const Numbers total = at_most(kMost, at_least(1.0, row.weighted_nll));
  const Numbers b = 1.0 / total, share = nll * b, c = -share * b;
  return {share, b, c * row.classes, c};
}

// What `use` makes of the rule of a term, which it gets as a function of its own: a loop over rows
// is then one for each kind.
template <typename Use>
inline auto with_rule(const RuleTerm& term, Use use) {
  const double parameter = term.parameter;
  switch (term.kind) {
    case kLogProb:
      return use([](const Target& row) { return Ruled{-row.log_prob, broadcast(1.0)}; });
    case kProbRest:
      return use([](const Target& row) { return Ruled{row.prob_rest, row.prob}; });
    case kFocal:
      return use([=](const Target& row) { return focal(row, parameter); });
    case kDeformed: {
      const Deformed rule(term);
      if (parameter > 0) return use([=](const Target& row) { return rule.at<true>(row); });
      return use([=](const Target& row) { return rule.at<false>(row); });
    }
    case kTaylor:
      return use([=](const Target& row) { return taylor(row, static_cast<int>(parameter)); });
    case kMargin:
      return use([=](const Target& row) { return margin(row, parameter); });
    default:
      return use([](const Target& row) { return normalized(row); });
  }
}

inline Ruled rule(const RuleTerm& term, const Target& row) {
  return with_rule(term, [&](auto rule) { return rule(row); });
}

inline void scale(Ruled& rule, Numbers factor) {
  rule.value *= factor;
  rule.slope *= factor;
  rule.steeper *= factor;
  rule.push *= factor;
}

inline Ruled sum_of_rules(const Objective& objective, const Target& row) {
  Ruled sum = rule(objective.terms[0], row);
  scale(sum, broadcast(objective.terms[0].factor));
  for (int64_t k = 1; k < objective.count; ++k) {
    Ruled next = rule(objective.terms[k], row);
    scale(next, broadcast(objective.terms[k].factor));
    sum.value += next.value;
    sum.slope += next.slope;
    sum.steeper += next.steeper;
    sum.push += next.push;
  }
  return sum;
}

}  // namespace
