// Runs a MindIR over a folder of inputs on Ascend, GPU or CPU; --help lists the options.
#include <unistd.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "inc/model.h"
#include "inc/options.h"
#include "inc/pipeline.h"
#include "inc/utils.h"

namespace {
// Silences the runtime's log, unless the user chose its level. The library reads the variable when it is loaded, before
// main(), so the program executes itself again. A failure only leaves some log lines on standard error.
void SilenceRuntime(char **argv) {
  if (std::getenv("GLOG_v") != nullptr) return;
  setenv("GLOG_v", "4", 1);  // above errors
  std::vector<char> path(PATH_MAX + 1);  // of the program itself, so that process lists show its name
  if (readlink("/proc/self/exe", path.data(), PATH_MAX) > 0) execv(path.data(), argv);
}

void Print(const std::string &what, const TensorInfo &tensor) {
  std::printf("%s: %s, %s %s\n", what.c_str(), tensor.name.c_str(), tensor.type.c_str(), tensor.Shape().c_str());
}

void Run(const Options &options) {
  const std::vector<std::string> inputs = ListInputs(options.dataset_path);
  CleanUpAtSignals();
  MakeFolder(options.result_path);
  InferenceModel model(options);
  std::printf("runtime: %s\n", InferenceModel::Runtime().c_str());
  Print("input", model.input());
  for (const TensorInfo &output : model.outputs()) Print("output", output);
  std::fflush(stdout);

  const Timings timings =
    RunPipeline([&model](const std::vector<char> &input) { return model.Predict(input); }, inputs, model.input().bytes,
                options.result_path, options.warmup);
  const std::string report = timings.Report(), folder = Folder(Absolute(options.result_path)) + "/time_Result";
  MakeFolder(folder);
  WriteFile(folder + "/test_perform_static.txt", report.data(), report.size());
  std::printf("%s", report.c_str());
}
}  // namespace

int main(int argc, char **argv) {
  try {
    const Options options = ParseOptions(argc, argv);
    if (options.help) {
      std::printf("%s", Usage().c_str());
    } else {
      if (!options.verbose) SilenceRuntime(argv);
      Run(options);
    }
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", OneLine(error.what()).c_str());
  } catch (...) {
    std::fprintf(stderr, "error: the runtime failed without a message\n");
  }
  return 1;
}
