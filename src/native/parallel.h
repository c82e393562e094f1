// Rows shared out over threads, and no state between calls.
#pragma once

#include <atomic>
#include <cstdint>
#include <system_error>
#include <thread>
#include <vector>

#include "kernels.h"

#ifdef __GLIBC__
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>
#endif

// Starting a thread costs 20-80 us where it was measured; a thread gets at least as much to do.
constexpr int64_t kGrain = int64_t{1} << 18;  // elements
constexpr int64_t kRowCost = 24;              // elements that a row costs beside its own

// Contiguous shares of [0, count), several for each thread: whoever is free takes the next one,
// since a thread may start late, or lose its CPU to others.
template <typename Body>
class Shares {
 public:
  Shares(const Body& body, int64_t count, int64_t threads)
      : body_(body), count_(count), shares_(count < 4 * threads ? count : 4 * threads) {}

  void take() {
    for (int64_t k; (k = next_.fetch_add(1)) < shares_;) body_(start_of(k), start_of(k + 1));
  }
  static void take_from(void* shares) { static_cast<Shares*>(shares)->take(); }

 private:
  int64_t start_of(int64_t k) const { return count_ * k / shares_; }

  const Body& body_;
  int64_t count_, shares_;
  std::atomic<int64_t> next_{0};
};

#ifdef __GLIBC__
// The team that the process's OpenMP runtime keeps, which in a process with torch is torch's. For
// some milliseconds after each of torch's operations its threads wait for the next without giving
// up their CPUs: they begin at once, and threads of our own would have to share CPUs with them.
class Team {
 public:
  // False where there is none of so many threads; else all of them have run it. The whole team
  // does, since for another number the runtime would end threads and start them again.
  static bool run(int64_t threads, void (*task)(void*), void* data) {
    if (getpid() != home_) return false;  // a forked child has the team's state without its threads
    const auto parallel = reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
    const auto size = reinterpret_cast<Size>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
    if (parallel == nullptr || size == nullptr || size() < threads) return false;
    parallel(task, data, 0, 0);
    return true;
  }

 private:
  using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
  using Size = int (*)();
  inline static const pid_t home_ = getpid();
};

// A thread that starts on another CPU than its maker's. Left to itself, a scheduler may queue it
// behind its maker, who has work to do: then it starts when that is done.
class Worker {
 public:
  bool start(void (*task)(void*), void* data) {
    task_ = {task, data};
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
    void (*run)(void*);
    void* data;
  };
  static void* run(void* task) {
    static_cast<Task*>(task)->run(static_cast<Task*>(task)->data);
    return nullptr;
  }
  Task task_{};
  pthread_t thread_{};
};
#else
struct Team {
  static bool run(int64_t, void (*)(void*), void*) { return false; }
};

class Worker {
 public:
  bool start(void (*task)(void*), void* data) {
    try {
      thread_ = std::thread(task, data);
    } catch (const std::system_error&) {
      return false;
    }
    return true;
  }
  void join() { thread_.join(); }

 private:
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
  Shares<Body> shares(body, count, threads);
  if (Team::run(threads, Shares<Body>::take_from, &shares)) return;
  std::vector<Worker> workers(static_cast<size_t>(threads - 1));
  size_t started = 0;
  while (started < workers.size() && workers[started].start(Shares<Body>::take_from, &shares))
    ++started;
  shares.take();
  for (size_t k = 0; k < started; ++k) workers[k].join();
}

template <typename Body>
void over_rows(int64_t count, int64_t classes, int64_t threads, const Body& body) {
  share_out(count, useful_threads(count, classes, threads), body);
}

constexpr int64_t kTileRows = 64;  // whose classes lie apart: read fewer at once, lines are wasted

// Likewise over these rows, by whole tiles where their classes lie apart.
template <typename Body>
void over_rows(const Rows& rows, int64_t threads, const Body& body) {
  const int64_t count = rows.count(), unit = rows.inner > 1 ? kTileRows : 1;
  const int64_t units = (count + unit - 1) / unit;
  share_out(units, useful_threads(count, rows.classes, threads), [&](int64_t first, int64_t last) {
    body(first * unit, last * unit < count ? last * unit : count);
  });
}
