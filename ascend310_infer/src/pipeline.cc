#include "inc/pipeline.h"

#include <chrono>
#include <cstdio>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "inc/queue.h"

namespace {
using Clock = std::chrono::steady_clock;

constexpr std::size_t kWaiting = 2;  // capacity of a queue
constexpr double kProgressSeconds = 5;
const char kWhat[] = "the model input";

struct Item {
  std::string stem;
  Clock::time_point start;
  Outputs data;  // before inference a single entry, the input
};

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Keeps the first exception of several threads.
class FirstError {
 public:
  void Keep(std::exception_ptr error) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!error_) error_ = std::move(error);
  }
  void Rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::exception_ptr error_;
  std::mutex mutex_;
};

class Pipeline {
 public:
  Pipeline(const std::vector<std::string> &inputs, std::size_t input_bytes, const std::string &results)
      : inputs_(inputs), input_bytes_(input_bytes), results_(results), read_(kWaiting), inferred_(kWaiting) {}

  Timings Run(const Predict &predict) {
    const Clock::time_point start = Clock::now();
    std::thread reader, writer;
    Guarded([&] {
      reader = std::thread([this] { Guarded([this] { Read(); }); });
      writer = std::thread([this, start] { Guarded([this, start] { Write(start); }); });
      Infer(predict);
    });
    if (reader.joinable()) reader.join();
    if (writer.joinable()) writer.join();
    error_.Rethrow();
    timings_.seconds = MillisecondsSince(start) / 1000;
    return std::move(timings_);
  }

 private:
  // Runs a part of the pipeline; if it fails, stops the others.
  template <typename Part>
  void Guarded(const Part &part) {
    try {
      part();
    } catch (...) {
      error_.Keep(std::current_exception());
      read_.Stop();
      inferred_.Stop();
    }
  }

  void Read() {
    for (const std::string &path : inputs_) {
      const Clock::time_point start = Clock::now();
      Item item{Stem(path), start, {}};
      item.data.push_back(ReadFile(path, input_bytes_, kWhat));
      if (!read_.Push(std::move(item))) return;
    }
    read_.Finish();
  }

  void Infer(const Predict &predict) {
    while (std::optional<Item> item = read_.Pop()) {
      const Clock::time_point start = Clock::now();
      item->data = predict(item->data.front());
      timings_.inference_ms.push_back(MillisecondsSince(start));
      if (!inferred_.Push(std::move(*item))) return;
    }
    inferred_.Finish();
  }

  void Write(Clock::time_point begin) {
    Clock::time_point last = begin;
    while (std::optional<Item> item = inferred_.Pop()) {
      for (std::size_t i = 0; i < item->data.size(); ++i) {
        const std::vector<char> &bytes = item->data[i];
        WriteFile(results_ + "/" + item->stem + "_" + std::to_string(i) + ".bin", bytes.data(), bytes.size());
      }
      timings_.pipeline_ms.push_back(MillisecondsSince(item->start));
      if (MillisecondsSince(last) >= 1000 * kProgressSeconds) {
        last = Clock::now();
        Progress(MillisecondsSince(begin) / 1000);
      }
    }
  }

  void Progress(double seconds) const {
    const std::size_t done = timings_.pipeline_ms.size();
    const double rate = static_cast<double>(done) / seconds;
    std::printf("inferred %zu/%zu, %.2f images/s, %.0f s left\n", done, inputs_.size(), rate,
                static_cast<double>(inputs_.size() - done) / rate);
    std::fflush(stdout);
  }

  const std::vector<std::string> &inputs_;
  const std::size_t input_bytes_;
  const std::string results_;
  BoundedQueue<Item> read_;      // inputs
  BoundedQueue<Item> inferred_;  // results
  Timings timings_;              // inference_ms is filled by the inferring thread, pipeline_ms by the writing one
  FirstError error_;
};
}  // namespace

Timings RunPipeline(const Predict &predict, const std::vector<std::string> &inputs, std::size_t input_bytes,
                    const std::string &results, unsigned warmup) {
  for (const std::string &path : inputs) CheckSize(path, input_bytes, kWhat);
  MakeFolder(results);
  if (warmup > 0) {
    const std::vector<char> first = ReadFile(inputs.front(), input_bytes, kWhat);
    for (unsigned i = 0; i < warmup; ++i) predict(first);
  }
  return Pipeline(inputs, input_bytes, results).Run(predict);
}
