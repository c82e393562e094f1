// The contract between the row kernels (one object per instruction-set level) and their callers.
#pragma once

#include <cstdint>

enum Type { kFloat32, kFloat64, kBFloat16, kFloat16, kTypes };

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

  int64_t count() const { return outer * inner; }
};

// A number per row each; the last two are written only where they are not null.
struct Statistics {
  double* lse;           // logsumexp of the row
  double* log_prob;      // u = log p_y = -softplus(-margin)
  double* prob;          // p_y
  double* prob_rest;     // 1 - p_y
  double* weighted_nll;  // -sum_j w_j log softmax(z)_j; needs Rows::weight
  int64_t* argmax;       // first class of the greatest logit, or of a NaN
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

// ---- elements: the losses of binary and multi-label targets -------------------------------------

// A loss l of a margin m, by u = log sigma(m) and q = sigma(-m):
//   kFocal        -q^a u; of negatives, whose factor's power is b, with q - c, at least 0, as q
//   kPoly         -u + a q
//   kGeneralized  (1 - e^(a u)) / a
enum Curve { kFocal, kPoly, kGeneralized };

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
  // for each Type, over rows [begin, end)
  void (*statistics[kTypes])(const Rows&, const Statistics&, int64_t begin, int64_t end);
  void (*gradient[kTypes])(const Rows&, const Statistics&, const Slopes&, const Gradient&,
                           int64_t begin, int64_t end);
  // for each Type, over the elements [begin, end) of one chunk
  ElementSum (*elements[kTypes])(const Elements&, const BinaryRule&, const ElementLosses&,
                                 int64_t begin, int64_t end);
};
