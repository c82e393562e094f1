// The contract between the row kernels (one object per instruction-set level) and their callers.
#pragma once

#include <cstdint>

// N rows of C logits, each read as z * scale + bias[j]. All arrays are C-contiguous.
struct Rows {
  const void* logits;     // (N, C) float or double
  const int64_t* target;  // (N,)
  int64_t count, classes;
  int64_t ignore_index;  // rows with this target have all-zero statistics and gradient
  double scale;          // 1 / temperature
  const void* bias;      // (C,) of the logits' type, or null; then scale is 1
  const void* weight;    // (C,) of the logits' type: w of S = sum_j w_j z_j, or null
  double weight_total;   // sum_j w_j
};

// (5, N) float64, contiguous; the last row is written only where Rows::weight is given.
struct Statistics {
  double* lse;           // logsumexp of the row
  double* log_prob;      // u = log p_y = -softplus(-margin)
  double* prob;          // p_y
  double* prob_rest;     // 1 - p_y
  double* weighted_nll;  // -sum_j w_j log softmax(z)_j
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

struct Kernels {
  const char* level;
  int (*supported)();
  void (*statistics_f32)(const Rows&, const Statistics&, int64_t begin, int64_t end);
  void (*statistics_f64)(const Rows&, const Statistics&, int64_t begin, int64_t end);
  void (*gradient_f32)(const Rows&, const Statistics&, const Slopes&, void* out, int64_t begin,
                       int64_t end);
  void (*gradient_f64)(const Rows&, const Statistics&, const Slopes&, void* out, int64_t begin,
                       int64_t end);
};
