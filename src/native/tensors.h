// PyTorch's tensors by the table of functions that DLPack's C exchange hangs on their class: a
// small batch would wait for Python to read and to make them. The tables' layout:
// dmlc.github.io/dlpack, DLPackExchangeAPI.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdlib>
#include <new>
#include <stdexcept>

#include "kernels.h"
#include "memory.h"

namespace nb = nanobind;

struct DlpackVersion {
  uint32_t major, minor;
};

struct ManagedTensor {
  DlpackVersion version;
  void* owner;
  void (*release)(ManagedTensor*);
  uint64_t flags;
  nb::dlpack::dltensor tensor;
};

struct ExchangeTable {
  DlpackVersion version;
  ExchangeTable* older;
  void* allocate;
  void* managed_from_object;
  int (*object_from_managed)(ManagedTensor*, void** object);
  int (*read)(void* object, nb::dlpack::dltensor* out);
  void* stream;
};

// A dense tensor on the CPU whose numbers lie one after the other. It owns nothing.
struct TensorView {
  void* data;
  Type type;  // kTypes for integers of 64 bits
  int ndim;
  const int64_t* shape;

  bool is_indices() const { return type == kTypes; }
  int64_t count() const {
    int64_t product = 1;
    for (int k = 0; k < ndim; ++k) product *= shape[k];
    return product;
  }
};

// A tensor of numbers that are still to be written.
struct NewTensor {
  nb::object object;
  void* data = nullptr;
  bool fresh = false;  // whether its memory never was
};

class Tensors {
 public:
  // The classes are those whose tensors have nothing of their own to say: not subclasses'.
  Tensors(const nb::capsule& table, const nb::object& tensor, const nb::object& parameter)
      : table_(static_cast<const ExchangeTable*>(table.data("dlpack_exchange_api"))),
        tensor_(tensor),
        parameter_(parameter),
        is_negated_(tensor.attr("is_neg")) {
    if (table_->version.major != 1 || table_->read == nullptr)
      throw std::invalid_argument("not a table of DLPack 1 with a function that reads");
  }

  // False where it is another kind of tensor, or no tensor.
  bool read(nb::handle object, TensorView& view) const {
    const nb::handle of = object.type();
    if (!(of.is(tensor_) || of.is(parameter_))) return false;
    nb::dlpack::dltensor raw;
    if (table_->read(object.ptr(), &raw) != 0) {  // of a transform, lazily zero, sparse, ...
      PyErr_Clear();
      return false;
    }
    if (raw.device.device_type != nb::device::cpu::value || raw.dtype.lanes != 1) return false;
    view = {static_cast<char*>(raw.data) + raw.byte_offset, kTypes, raw.ndim, raw.shape};
    return raw.ndim <= kMost && type_of(raw.dtype, view.type) && is_dense(raw) &&
           (raw.data || view.count() == 0) && !nb::cast<bool>(is_negated_(object));
  }

  NewTensor make(Type type, const int64_t* shape, int ndim) const {
    Made* made = Made::of(type, shape, ndim);
    void* object = nullptr;
    if (table_->object_from_managed(&made->managed, &object) != 0) {
      Made::release(&made->managed);
      throw nb::python_error();
    }
    return {nb::steal(static_cast<PyObject*>(object)), made->managed.tensor.data, made->fresh};
  }

 private:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kLarge = size_t{1} << 22;  // bytes, from which on memory is kept
  static constexpr int kMost = 8;                    // dimensions

  // A tensor's head and, unless they are many, its numbers behind it.
  struct Made {
    ManagedTensor managed;
    int64_t shape[kMost], strides[kMost];
    Block kept;
    bool fresh;

    static Made* of(Type type, const int64_t* shape, int ndim) {
      size_t bytes = static_cast<size_t>(kSizes[type]);
      for (int k = 0; k < ndim; ++k) bytes *= static_cast<size_t>(shape[k]);
      const Block kept = bytes < kLarge ? Block{nullptr, 0, true} : kept_memory().take(bytes);
      const size_t head = rounded(sizeof(Made));
      void* memory = std::aligned_alloc(kAlignment, head + (kept.data ? 0 : rounded(bytes)));
      if (memory == nullptr) {
        if (kept.data) kept_memory().give_back(kept);
        throw std::bad_alloc();
      }
      Made* made = new (memory) Made;
      made->kept = kept;
      made->fresh = kept.fresh;
      int64_t stride = 1;
      for (int k = ndim - 1; k >= 0; --k) {
        made->shape[k] = shape[k];
        made->strides[k] = stride;
        stride *= shape[k];
      }
      const auto code =
          type == kBFloat16 ? nb::dlpack::dtype_code::Bfloat : nb::dlpack::dtype_code::Float;
      const nb::dlpack::dtype dtype = {static_cast<uint8_t>(code),
                                       static_cast<uint8_t>(8 * kSizes[type]), 1};
      void* data = kept.data ? kept.data : static_cast<char*>(memory) + head;
      made->managed = {
          {1, 0},
          made,
          &release,
          0,
          {data, {nb::device::cpu::value, 0}, ndim, dtype, made->shape, made->strides, 0}};
      return made;
    }
    // Whoever holds the tensor last may not hold Python's lock.
    static void release(ManagedTensor* managed) {
      Made* made = static_cast<Made*>(managed->owner);
      if (made->kept.data) kept_memory().give_back(made->kept);
      std::free(made);
    }
    static size_t rounded(size_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }
  };

  static bool type_of(nb::dlpack::dtype dtype, Type& type) {
    using Code = nb::dlpack::dtype_code;
    const auto is = [&](Code code, int bits) {
      return dtype.code == static_cast<uint8_t>(code) && dtype.bits == bits;
    };
    if (is(Code::Float, 32))
      type = kFloat32;
    else if (is(Code::Float, 64))
      type = kFloat64;
    else if (is(Code::Bfloat, 16))
      type = kBFloat16;
    else if (is(Code::Float, 16))
      type = kFloat16;
    else
      return is(Code::Int, 64);
    return true;
  }
  static bool is_dense(const nb::dlpack::dltensor& raw) {
    int64_t stride = 1;
    for (int k = raw.ndim - 1; k >= 0; --k) {
      if (raw.shape[k] != 1 && raw.strides != nullptr && raw.strides[k] != stride) return false;
      stride *= raw.shape[k];
    }
    return true;
  }

  const ExchangeTable* table_;
  nb::object tensor_, parameter_, is_negated_;
};
