// Files and timings of the runner. No MindSpore header here, so that plain g++ can compile and test it.
#ifndef ASCEND310_INFER_UTILS_H_
#define ASCEND310_INFER_UTILS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// Every function throws std::runtime_error with the path and the cause.

// Returns the paths of the regular files `*.bin` in `folder`, sorted by name; there must be at least one.
std::vector<std::string> ListInputs(const std::string &folder);

// Returns the size of a regular file in bytes.
std::size_t FileSize(const std::string &path);

// Throws unless the file `path` has `expected` bytes; `what` is the message's name of the reader, e.g. "the model input".
void CheckSize(const std::string &path, std::size_t expected, const std::string &what);

// Returns the bytes of a file that must have exactly `expected` of them.
std::vector<char> ReadFile(const std::string &path, std::size_t expected, const std::string &what);

// Writes a file atomically, replacing an earlier one.
void WriteFile(const std::string &path, const void *data, std::size_t size);

// Makes signals that end the program remove a file that `WriteFile` has not finished; ignored signals stay ignored.
void CleanUpAtSignals();

// Makes a folder and its parents.
void MakeFolder(const std::string &path);

// Parts of a path: "a/b/c.bin" has the folder "a/b" and the stem "c"; "c.bin" lies in ".".
std::string Folder(const std::string &path);
std::string Stem(const std::string &path);

// Returns the absolute path without trailing slashes and dots; links are not resolved.
std::string Absolute(const std::string &path);

// Replaces line breaks and runs of white space by single spaces, for messages of one line.
std::string OneLine(const std::string &text);

struct MindIRHeader {
  std::int64_t version = 0;  // of the file format; 0 if the file has none
  std::string producer;      // version of MindSpore that wrote it
};

// Reads the header of a MindIR file and checks by the lengths in it that the file is complete.
MindIRHeader ReadMindIRHeader(const std::string &path);

// Milliseconds per image, and seconds in all.
struct Timings {
  std::vector<double> inference_ms;  // the model only
  std::vector<double> pipeline_ms;   // from the start of reading an input to the end of writing its results
  double seconds = 0;                // from the first input to the last result

  // Returns the text of test_perform_static.txt.
  std::string Report() const;
};

// Returns minimum, median and 99th percentile (nearest rank) of some milliseconds.
std::string Spread(std::vector<double> samples);

#endif  // ASCEND310_INFER_UTILS_H_
