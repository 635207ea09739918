#include "inc/utils.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <sstream>
#include <stdexcept>

#include "inc/temporary_file.h"

namespace {
const char kInputSuffix[] = ".bin";

[[noreturn]] void Fail(const std::string &text) { throw std::runtime_error(text); }

[[noreturn]] void FailWithErrno(const std::string &text, int number = errno) { Fail(text + ": " + std::strerror(number)); }

bool EndsWith(const std::string &text, const std::string &end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// An open file descriptor that is closed at the end of its scope.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  int number() const { return number_; }
  int Close() {
    const int number = number_;
    number_ = -1;
    return number < 0 ? 0 : close(number);
  }

 private:
  int number_;
};

bool IsFile(const std::string &path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

// Reads the fields of a protobuf message one after the other; see protobuf.dev/programming-guides/encoding.
class FieldReader {
 public:
  FieldReader(const std::string &path, std::uint64_t size) : path_(path), file_(path, std::ios::binary), left_(size) {
    if (!file_) FailWithErrno("cannot open the model " + path);
  }
  bool AtEnd() const { return left_ == 0; }

  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const unsigned char byte = static_cast<unsigned char>(Bytes(1)[0]);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    Fail(path_ + ": not a MindIR file");
  }

  std::string Bytes(std::uint64_t count) {
    Take(count);
    std::string bytes(count, '\0');
    if (!file_.read(&bytes[0], static_cast<std::streamsize>(count))) FailWithErrno("cannot read the model " + path_);
    return bytes;
  }

  void Skip(std::uint64_t count) {
    Take(count);
    file_.seekg(static_cast<std::streamoff>(count), std::ios::cur);
  }

 private:
  void Take(std::uint64_t count) {
    if (count > left_) Fail(path_ + ": truncated, or not a MindIR file");
    left_ -= count;
  }

  std::string path_;
  std::ifstream file_;
  std::uint64_t left_;
};
}  // namespace

std::vector<std::string> ListInputs(const std::string &folder) {
  const std::unique_ptr<DIR, int (*)(DIR *)> directory(opendir(folder.c_str()), closedir);
  if (!directory) FailWithErrno("cannot open the folder of inputs " + folder);
  std::vector<std::string> paths;
  errno = 0;
  while (const dirent *entry = readdir(directory.get())) {
    const std::string path = folder + "/" + entry->d_name;
    if (entry->d_name[0] != '.' && EndsWith(path, kInputSuffix) && IsFile(path)) paths.push_back(path);
    errno = 0;
  }
  if (errno != 0) FailWithErrno("cannot read the folder of inputs " + folder);
  if (paths.empty()) Fail(folder + ": holds no *.bin file; preprocess.py writes them");
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::size_t FileSize(const std::string &path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) FailWithErrno("cannot open " + path);
  if (!S_ISREG(info.st_mode)) Fail(path + ": is not a regular file");
  return static_cast<std::size_t>(info.st_size);
}

void CheckSize(const std::string &path, std::size_t expected, const std::string &what) {
  const std::size_t size = FileSize(path);
  if (size != expected) {
    Fail(path + ": has " + std::to_string(size) + " bytes, " + what + " takes " + std::to_string(expected));
  }
}

std::vector<char> ReadFile(const std::string &path, std::size_t expected, const std::string &what) {
  CheckSize(path, expected, what);
  std::ifstream file(path, std::ios::binary);
  if (!file) FailWithErrno("cannot open " + path);
  std::vector<char> bytes(expected);
  if (!file.read(bytes.data(), static_cast<std::streamsize>(expected))) FailWithErrno("cannot read " + path);
  return bytes;
}

void WriteFile(const std::string &path, const void *data, std::size_t size) {
  const std::string temporary = TemporaryName(path);
  TemporaryFile remover(temporary);
  Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (file.number() < 0) FailWithErrno("cannot write " + path);
  const char *next = static_cast<const char *>(data);
  while (size > 0) {
    const ssize_t written = write(file.number(), next, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      FailWithErrno("cannot write " + path);
    }
    next += written;
    size -= static_cast<std::size_t>(written);
  }
  if (file.Close() != 0) FailWithErrno("cannot write " + path);
  remover.RenameTo(path);
}

void CleanUpAtSignals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(number, RemoveUnfinished) == SIG_IGN) std::signal(number, SIG_IGN);  // e.g. nohup
  }
}

void MakeFolder(const std::string &path) {
  for (std::size_t end = path.find('/', 1); ; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    struct stat info {};
    if (mkdir(part.c_str(), 0755) != 0) {
      const int number = errno;
      if (stat(part.c_str(), &info) != 0) FailWithErrno("cannot make the folder " + part, number);
      if (!S_ISDIR(info.st_mode)) Fail(part + ": is not a folder");
    }
    if (end == std::string::npos) return;
  }
}

std::string Folder(const std::string &path) {
  const std::size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string Stem(const std::string &path) {
  const std::string name = path.substr(path.find_last_of('/') + 1);
  const std::size_t dot = name.find_last_of('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

std::string Absolute(const std::string &path) {
  std::string absolute = path;
  if (path.empty() || path[0] != '/') {
    std::vector<char> folder(PATH_MAX);
    if (getcwd(folder.data(), folder.size()) == nullptr) FailWithErrno("cannot determine the current folder");
    absolute = std::string(folder.data()) + "/" + path;
  }
  while (absolute.size() > 1 && (EndsWith(absolute, "/") || EndsWith(absolute, "/."))) absolute.pop_back();
  return absolute;
}

std::string OneLine(const std::string &text) {
  std::istringstream words(text);
  std::string line, word;
  while (words >> word) line += (line.empty() ? "" : " ") + word;
  return line;
}

MindIRHeader ReadMindIRHeader(const std::string &path) {
  enum : std::uint64_t { kModelVersion = 5, kGraph = 7, kMindIRVersion = 13 };  // of ModelProto in mind_ir.proto
  FieldReader reader(path, FileSize(path));
  MindIRHeader header;
  bool has_graph = false;
  while (!reader.AtEnd()) {
    const std::uint64_t key = reader.Varint(), field = key >> 3;
    switch (key & 7) {
      case 0: {
        const std::uint64_t value = reader.Varint();
        if (field == kMindIRVersion) header.version = static_cast<std::int64_t>(value);
        break;
      }
      case 1:
        reader.Skip(8);
        break;
      case 2: {
        const std::uint64_t length = reader.Varint();
        has_graph = has_graph || field == kGraph;
        if (field == kModelVersion) {
          header.producer = reader.Bytes(length);
        } else {
          reader.Skip(length);
        }
        break;
      }
      case 5:
        reader.Skip(4);
        break;
      default:
        Fail(path + ": not a MindIR file");
    }
  }
  if (!has_graph) Fail(path + ": truncated, or not a MindIR file");
  return header;
}

std::string Timings::Report() const {
  const std::size_t count = inference_ms.size();
  const double average = std::accumulate(inference_ms.begin(), inference_ms.end(), 0.0) / static_cast<double>(count);
  std::ostringstream text;
  text.setf(std::ios::fixed);
  text.precision(3);
  text << "NN inference cost average time: " << average << " ms of infer_count " << count << "\n"
       << "inference ms: " << Spread(inference_ms) << "\n"
       << "pipeline ms, from reading an input to its written result: " << Spread(pipeline_ms) << "\n"
       << "pipeline: " << count << " images in " << seconds << " s, " << static_cast<double>(count) / seconds
       << " images/s\n";
  return text.str();
}

std::string Spread(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const auto rank = [&samples](double share) {
    return samples[static_cast<std::size_t>(std::ceil(share * static_cast<double>(samples.size()))) - 1];
  };
  std::ostringstream text;
  text.setf(std::ios::fixed);
  text.precision(3);
  text << "min " << samples.front() << ", median " << rank(0.5) << ", p99 " << rank(0.99);
  return text.str();
}
