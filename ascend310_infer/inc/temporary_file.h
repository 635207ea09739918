// The temporary file that becomes a result; included by utils.cc only.
#ifndef ASCEND310_INFER_TEMPORARY_FILE_H_
#define ASCEND310_INFER_TEMPORARY_FILE_H_

#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>

#include "inc/utils.h"

namespace {
char unfinished[PATH_MAX];  // path of the temporary file, for the signal handler
volatile std::sig_atomic_t is_unfinished = 0;

void RemoveUnfinished(int number) {
  if (is_unfinished) unlink(unfinished);
  std::signal(number, SIG_DFL);
  std::raise(number);
}

// A new file that is removed at the end of its scope, or by a signal, unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string &path) : path_(path) {
    if (path.size() >= sizeof(unfinished)) return;
    std::memcpy(unfinished, path.c_str(), path.size() + 1);
    is_unfinished = 1;
  }
  ~TemporaryFile() {
    if (!path_.empty()) unlink(path_.c_str());
    is_unfinished = 0;
  }
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  void RenameTo(const std::string &target) {
    if (std::rename(path_.c_str(), target.c_str()) != 0) {
      throw std::runtime_error("cannot write " + target + ": " + std::strerror(errno));
    }
    path_.clear();
  }

 private:
  std::string path_;
};

// Returns an unpredictable name beside `path`, in the pattern of src/base/temporary.py.
std::string TemporaryName(const std::string &path) {
  std::random_device random;
  char mark[64];
  std::snprintf(mark, sizeof(mark), ".%ld-%08x%08x.partial", static_cast<long>(getpid()), random(), random());
  return Folder(path) + "/." + path.substr(path.find_last_of('/') + 1).substr(0, 120) + mark;
}
}  // namespace

#endif  // ASCEND310_INFER_TEMPORARY_FILE_H_
