// Rows shared out over threads: contiguous ranges, one per thread, and no state between calls.
#pragma once

#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#ifdef __GLIBC__
#include <pthread.h>
#include <sched.h>
#endif

// Starting a thread costs 20-80 us where it was measured; a thread gets at least as much to do.
constexpr int64_t kGrain = int64_t{1} << 18;  // elements
constexpr int64_t kRowCost = 24;              // elements that a row costs beside its own

#ifdef __GLIBC__
// A thread that starts on another CPU than its maker's. Left to itself, a scheduler may queue it
// behind its maker, who has work to do: then it starts when that is done.
template <typename Body>
class Worker {
 public:
  Worker(const Body& body, int64_t begin, int64_t end) : task_{&body, begin, end} {}

  bool start() {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    cpu_set_t cpus;
    const int here = sched_getcpu();
    if (here >= 0 && sched_getaffinity(0, sizeof cpus, &cpus) == 0) {
      CPU_CLR(static_cast<size_t>(here), &cpus);
      if (CPU_COUNT(&cpus) > 0) pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus);
    }
    const bool started = pthread_create(&thread_, &attributes, run, &task_) == 0;
    pthread_attr_destroy(&attributes);
    return started;
  }
  void join() { pthread_join(thread_, nullptr); }

 private:
  struct Task {
    const Body* body;
    int64_t begin, end;
  };
  static void* run(void* task) {
    const Task& t = *static_cast<Task*>(task);
    (*t.body)(t.begin, t.end);
    return nullptr;
  }
  Task task_;
  pthread_t thread_{};
};
#else
template <typename Body>
class Worker {
 public:
  Worker(const Body& body, int64_t begin, int64_t end) : body_(body), begin_(begin), end_(end) {}

  bool start() {
    try {
      thread_ = std::thread(body_, begin_, end_);
    } catch (const std::system_error&) {
      return false;
    }
    return true;
  }
  void join() { thread_.join(); }

 private:
  const Body& body_;
  int64_t begin_, end_;
  std::thread thread_;
};
#endif

// How many of `threads` have enough to do.
inline int64_t useful_threads(int64_t rows, int64_t classes, int64_t threads) {
  const int64_t useful = rows * (classes + kRowCost) / kGrain;
  return threads < useful ? threads : useful;
}

// body(begin, end) over [0, count) in contiguous shares.
template <typename Body>
void share_out(int64_t count, int64_t threads, const Body& body) {
  if (threads > count) threads = count;
  if (threads <= 1) return body(int64_t{0}, count);
  const auto start_of = [&](int64_t k) { return count * k / threads; };
  std::vector<Worker<Body>> workers;
  workers.reserve(static_cast<size_t>(threads - 1));  // a task stays where it is
  for (int64_t k = 1; k < threads; ++k) {
    workers.emplace_back(body, start_of(k), start_of(k + 1));
    if (workers.back().start()) continue;
    workers.pop_back();
    body(start_of(k), count);  // no thread to be had: the caller does that work too
    break;
  }
  body(int64_t{0}, start_of(1));
  for (auto& worker : workers) worker.join();
}

template <typename Body>
void over_rows(int64_t count, int64_t classes, int64_t threads, const Body& body) {
  share_out(count, useful_threads(count, classes, threads), body);
}
