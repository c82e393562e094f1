// Rows shared out over threads: contiguous ranges, one per thread, and no state between calls.
#pragma once

#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

// Spawning threads cost 20-80 us where it was measured; a thread gets at least several times that.
constexpr int64_t kGrain = int64_t{1} << 19;  // elements
constexpr int64_t kRowCost = 24;              // elements that a row costs beside its own

template <typename Body>
void over_rows(int64_t count, int64_t classes, int64_t threads, const Body& body) {
  const int64_t useful = count * (classes + kRowCost) / kGrain;
  if (threads > useful) threads = useful;
  if (threads > count) threads = count;
  if (threads <= 1) return body(int64_t{0}, count);
  std::vector<std::thread> workers;
  workers.reserve(static_cast<size_t>(threads - 1));
  const auto start_of = [&](int64_t k) { return count * k / threads; };
  int64_t k = 1;
  try {
    for (; k < threads; ++k) workers.emplace_back(body, start_of(k), start_of(k + 1));
  } catch (const std::system_error&) {
    body(start_of(k), count);  // no thread to be had: the caller does that work too
  }
  body(int64_t{0}, start_of(1));
  for (auto& worker : workers) worker.join();
}
