// The contract between the row kernels (one object per instruction-set level) and their callers.
#pragma once

#include <cstdint>

enum Type { kFloat32, kFloat64, kBFloat16, kFloat16, kTypes };
constexpr int64_t kSizes[kTypes] = {4, 8, 2, 2};  // bytes

// Logits of shape (outer, classes, inner), C-contiguous: outer * inner rows, row i at position
// i % inner of block i / inner. A row is read as cap tanh(z / cap) * scale + bias.
// What goes with the classes is double where the logits are, else float.
struct Rows {
  const void* logits;
  const int64_t* target;  // (outer * inner,)
  int64_t outer, classes, inner;
  int64_t ignore_index;  // rows with this target have all-zero statistics and gradient
  double cap;            // softcap, or 0 for none
  double scale;          // 1 / temperature
  const void* bias;      // (classes,) or null
  const void* weight;    // (classes,), w of S = sum_j w_j z_j, or null
  double weight_total;   // sum_j w_j
  bool even;             // whether all w_j are known to be 1

  int64_t count() const { return outer * inner; }
};

// A number per row each; the last four are written only where they are not null.
struct Statistics {
  double* lse;                     // logsumexp of the row
  double* log_prob;                // u = log p_y = -softplus(-margin)
  double* prob;                    // p_y
  double* prob_rest;               // 1 - p_y
  double* weighted_nll = nullptr;  // -sum_j w_j log softmax(z)_j; needs Rows::weight
  int64_t* argmax = nullptr;       // first class of the greatest logit, or of a NaN
  double* top_prob = nullptr;      // the greatest probability
  double* square_rest = nullptr;   // sum of p_j^2 over j != y
};

// A number per row, or one for all rows (stride 0).
struct Coefficient {
  const double* data;
  int64_t stride;
  double operator[](int64_t i) const { return data[i * stride]; }
};

// d loss_i / d z_ij = a softmax(z)_j - c w_j - b [j = y]
struct Slopes {
  Coefficient a, b, c;  // c.data is null where no weight is used
};

// Where the gradient goes: an array like the logits, or the logits themselves.
struct Gradient {
  void* data;
  bool stream;  // past the caches
};

// A rule of the target's probability p that the kernels know; crossentropy.losses has the formulas.
enum RuleKind {
  kLogProb,
  kProbRest,
  kFocal,
  kDeformed,
  kTaylor,
  kMargin,
  kNormalized,  // needs Rows::weight, of ones
  kRuleKinds
};

struct RuleTerm {
  RuleKind kind;
  double factor, parameter;
  double least;      // of kDeformed: probabilities up to this one count as it
  double log_least;  // its logarithm
};

// What a training run minimises by row, as crossentropy.losses.Objective: the sum of `terms`, with
// weights, smoothing and z-loss. `share` is smoothing's for each unit of Rows::weight.
struct Objective {
  const RuleTerm* terms;
  int64_t count;
  const double* class_weight;   // (classes,), or null
  const double* sample_weight;  // (outer * inner,), or null
  double smoothing, share, z_loss;
};

// Targets that are distributions: class_weight_j (keep t_j + spread prior_j), with t the rows'
// probabilities or the softmax of a teacher's logits, which has no weights and is kept whole.
// Arrays of the classes are of the type that goes with the logits.
struct SoftTarget {
  const void* data;  // like the logits
  bool is_teacher;
  double teacher_scale;      // 1 / temperature
  const void* class_weight;  // (classes,), or null for ones
  const void* prior;         // (classes,), or null for ones
  double keep, spread;
  double z_loss;
  const uint8_t* mask;       // (rows,), 0 where a row counts for nothing; or null
  const double* row_factor;  // (rows,), of the gradient; or null
};

// Of the softmax of beta z: the logsumexp of beta z, and the mean and the variance of z. A number
// per row each.
struct Moments {
  double beta;
  double *lse, *mean, *variance;
};

// ---- elements: the losses of binary and multi-label targets -------------------------------------

// A loss l of a margin m, by u = log sigma(m) and q = sigma(-m):
//   kFocalCurve        -q^a u; of negatives, whose factor's power is b, with q - c >= 0 as q
//   kPolyCurve         -u + a q
//   kGeneralizedCurve  (1 - e^(a u)) / a
enum Curve { kFocalCurve, kPolyCurve, kGeneralizedCurve };

// positive * y l(z) + negative * (1 - y) l(-z) for a logit z and its target y.
struct BinaryRule {
  Curve curve;
  double a, b, c;
  double positive, negative;
};

// A number for each element, or for each of a chunk, the same in all chunks; or null for ones.
// double where the logits are, else float.
struct Weights {
  const void* data;
  bool full;
};

struct Elements {
  const void* logits;
  const void* target;  // in [0, 1], of the logits' type
  Weights weight, pos_weight;
  double smoothing;  // moves targets towards 1/2
  double ignore;     // elements with this target have loss and gradient 0; NaN ignores none
};

// Arrays of the logits' type, or null where they are not wanted.
struct ElementLosses {
  void* loss;
  void* gradient;
  double scale;  // of the gradient
  bool stream;   // the gradient, past the caches
};

struct ElementSum {
  double loss;
  bool suspect;  // a target may be outside [0, 1]
};

struct Kernels {
  const char* level;
  int (*supported)();
  // the first row whose target is out of range, or -1; the number of rows that are not ignored
  int64_t (*check)(const Rows&, int64_t* counted);
  // for each Type, over rows [begin, end)
  void (*statistics[kTypes])(const Rows&, const Statistics&, int64_t begin, int64_t end);
  void (*gradient[kTypes])(const Rows&, const Statistics&, const Slopes&, const Gradient&,
                           int64_t begin, int64_t end);
  // the losses of chunks [begin, end) of so many rows; the rows' gradient times the factor goes to
  // Gradient::data, if any
  void (*train[kTypes])(const Rows&, const Objective&, double factor, const Gradient&,
                        int64_t chunk, int64_t begin, int64_t end, double* losses);
  // the losses of rows [begin, end) with soft targets, Rows::target not being used; their gradient
  // times the factor goes to Gradient::data, if any; false where there was no memory
  bool (*soft[kTypes])(const Rows&, const SoftTarget&, double factor, const Gradient&,
                       int64_t begin, int64_t end, double* losses);
  // sum_j class_weight_j t_j of rows [begin, end), Rows::logits not being used either
  bool (*soft_mass[kTypes])(const Rows&, const SoftTarget&, int64_t begin, int64_t end,
                            double* masses);
  // over rows [begin, end); of Rows, logits and shape only
  void (*moments[kTypes])(const Rows&, const Moments&, int64_t begin, int64_t end);
  // for each Type, over the elements [begin, end) of one chunk
  ElementSum (*elements[kTypes])(const Elements&, const BinaryRule&, const ElementLosses&,
                                 int64_t begin, int64_t end);
};
