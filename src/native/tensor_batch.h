// A batch of the training loss, of PyTorch's tensors.
#pragma once

#include <vector>

#include "tensors.h"
#include "train.h"

// Logits (N, C) or (B, C, d1, ...), a class index for each row, and what goes with classes and with
// rows, each of it perhaps None.
class TensorBatch {
 public:
  // False where something is no plain tensor, or does not fit.
  bool read(const Tensors& tensors, nb::handle logits, nb::handle target, nb::handle class_weight,
            nb::handle bias, nb::handle sample_weight) {
    return tensors.read(logits, logits_) && logits_.ndim >= 2 && !logits_.is_indices() &&
           tensors.read(target, target_) && target_.is_indices() && is_by_row(target_) &&
           read_by_class(tensors, class_weight, class_weight_) &&
           read_by_class(tensors, bias, bias_) && read_by_row(tensors, sample_weight);
  }

  const TensorView& logits() const { return logits_; }

  Rows rows() const {
    Rows rows = {};
    rows.logits = logits_.data;
    rows.target = static_cast<const int64_t*>(target_.data);
    rows.outer = logits_.shape[0];
    rows.classes = logits_.shape[1];
    rows.inner = 1;
    for (int k = 2; k < logits_.ndim; ++k) rows.inner *= logits_.shape[k];
    return rows;
  }

  // Class weights are smoothed labels', too.
  TrainArrays arrays(bool smoothed) const {
    const double* own = sample_weight_.type == kFloat64
                            ? static_cast<const double*>(sample_weight_.data)
                            : doubles_.data();
    return {smoothed ? class_weight_.data : nullptr, bias_.data, class_weight_.data,
            sample_weight_.data == nullptr ? nullptr : own};
  }

 private:
  bool is_by_row(const TensorView& view) const {
    if (view.ndim != logits_.ndim - 1 || view.shape[0] != logits_.shape[0]) return false;
    for (int k = 1; k < view.ndim; ++k)
      if (view.shape[k] != logits_.shape[k + 1]) return false;
    return true;
  }
  // What goes with the classes is double where the logits are, else float.
  bool read_by_class(const Tensors& tensors, nb::handle from, TensorView& view) const {
    if (from.is_none()) return true;
    return tensors.read(from, view) && view.ndim == 1 && view.shape[0] == logits_.shape[1] &&
           view.type == (logits_.type == kFloat64 ? kFloat64 : kFloat32);
  }
  bool read_by_row(const Tensors& tensors, nb::handle from) {
    if (from.is_none()) return true;
    TensorView& own = sample_weight_;
    if (!(tensors.read(from, own) && is_by_row(own))) return false;
    if (own.type != kFloat32) return own.type == kFloat64;
    const float* numbers = static_cast<const float*>(own.data);
    doubles_.assign(numbers, numbers + own.count());
    return true;
  }

  TensorView logits_, target_, class_weight_{}, bias_{}, sample_weight_{};
  std::vector<double> doubles_;
};
