// A queue of limited capacity between two threads.
#ifndef ASCEND310_INFER_QUEUE_H_
#define ASCEND310_INFER_QUEUE_H_

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <queue>
#include <utility>

template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  // Waits for room and appends an item; false if the queue was stopped or finished and the item is dropped.
  bool Push(T item) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return finished_ || items_.size() < capacity_; });
    if (finished_) return false;
    items_.push(std::move(item));
    changed_.notify_all();
    return true;
  }

  // Waits for an item and takes it; nullopt once the queue is finished and empty, or stopped.
  std::optional<T> Pop() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return finished_ || !items_.empty(); });
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop();
    changed_.notify_all();
    return item;
  }

  // Marks the end of the items; those in the queue can still be taken.
  void Finish() {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished_ = true;
    changed_.notify_all();
  }

  // Drops all items and wakes all waiting threads.
  void Stop() {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished_ = true;
    std::queue<T>().swap(items_);
    changed_.notify_all();
  }

 private:
  const std::size_t capacity_;
  std::queue<T> items_;
  bool finished_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
};

#endif  // ASCEND310_INFER_QUEUE_H_
