// The command line of the runner.
#ifndef ASCEND310_INFER_OPTIONS_H_
#define ASCEND310_INFER_OPTIONS_H_

#include <cstdint>
#include <string>

enum class Device { kAscend, kGPU, kCPU };

struct Options {
  std::string model_path;
  std::string dataset_path;
  std::string result_path = "./result_Files";
  std::uint32_t device_id = 0;
  Device device_type = Device::kAscend;
  // By either runtime's name. Always set, because the default of some runtimes computes everything in float16.
  std::string precision_mode = "allow_fp32_to_fp16";
  unsigned warmup = 1;
  unsigned num_threads = 0;  // on the CPU; ParseOptions replaces 0 by UsableCores()
  bool verbose = false;      // the runtime's own log lines, too
  bool help = false;
};

// Reads the command line; throws std::runtime_error for invalid options.
Options ParseOptions(int argc, char **argv);

// Returns the number of cores that the process may use.
unsigned UsableCores();

// Returns the text of --help.
std::string Usage();

// Returns the name of a precision mode in libmindspore.so or, with `lite`, in MindSpore Lite.
std::string PrecisionName(const std::string &mode, bool lite);

#endif  // ASCEND310_INFER_OPTIONS_H_
