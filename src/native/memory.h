// Memory for large outputs that outlive a call. A system hands out memory page by page, each filled
// with zeros when it is first written to, which takes longer than the kernels do. So the last
// blocks that were freed are kept for the next outputs, marked as the system's to take away
// whenever it needs memory (MADV_FREE): until then their pages are there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>

#ifdef __linux__
#include <sys/mman.h>
#endif

constexpr size_t kHugePage = size_t{1} << 21;

// Page faults dominate a large fresh output; huge pages make them 512 times fewer.
inline void advise_huge_pages(uintptr_t address, size_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const uintptr_t begin = (address + kHugePage - 1) & ~(kHugePage - 1);
  const uintptr_t end = (address + bytes) & ~(kHugePage - 1);
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#else
  (void)address, (void)bytes;
#endif
}

struct Block {
  void* data;  // null where there is none to be had this way
  size_t bytes;
  bool fresh;  // not yet written to
};

#if defined(__linux__) && defined(MADV_HUGEPAGE) && defined(MADV_FREE)

class KeptMemory {
 public:
  // The smallest kept block that fits and is not much too large, or a new one.
  Block take(size_t bytes) {
    bytes = (bytes + kHugePage - 1) & ~(kHugePage - 1);
    const std::lock_guard<std::mutex> lock(mutex_);
    Block* best = nullptr;
    for (Block& block : kept_)
      if (block.data != nullptr && block.bytes >= bytes && block.bytes / 4 <= bytes &&
          (best == nullptr || block.bytes < best->bytes))
        best = &block;
    if (best == nullptr) return map(bytes);
    const Block found = *best;
    *best = {};
    return found;
  }

  // The longest kept makes place.
  void give_back(Block block) {
    madvise(block.data, block.bytes, MADV_FREE);
    const std::lock_guard<std::mutex> lock(mutex_);
    Block* place = &kept_[next_++ % kMost];
    for (Block& other : kept_)
      if (other.data == nullptr) place = &other;
    unmap(*place);
    *place = {block.data, block.bytes, false};
  }

  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (Block& block : kept_) {
      unmap(block);
      block = {};
    }
  }

 private:
  static constexpr size_t kMost = 4;

  static Block map(size_t bytes) {
    void* mapped = mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return {nullptr, 0, true};
    // only what is aligned to huge pages is filled with them
    const uintptr_t at = reinterpret_cast<uintptr_t>(mapped);
    const uintptr_t begin = (at + kHugePage - 1) & ~(kHugePage - 1);
    if (begin > at) munmap(mapped, begin - at);
    munmap(reinterpret_cast<void*>(begin + bytes), at + kHugePage - begin);
    advise_huge_pages(begin, bytes);
    return {reinterpret_cast<void*>(begin), bytes, true};
  }
  static void unmap(const Block& block) {
    if (block.data != nullptr) munmap(block.data, block.bytes);
  }

  std::mutex mutex_;
  Block kept_[kMost] = {};
  size_t next_ = 0;
};

#else

class KeptMemory {
 public:
  Block take(size_t) { return {nullptr, 0, true}; }
  void give_back(Block) {}
  void clear() {}
};

#endif

// Never destroyed: blocks may be given back until the very end.
inline KeptMemory& kept_memory() {
  static auto* memory = new KeptMemory;
  return *memory;
}
