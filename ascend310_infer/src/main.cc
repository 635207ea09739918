// Runs a MindIR over a folder of inputs on Ascend, GPU or CPU; --help lists the options.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "inc/model.h"
#include "inc/options.h"
#include "inc/pipeline.h"
#include "inc/utils.h"

namespace {
void Run(const Options &options) {
  const std::vector<std::string> inputs = ListInputs(options.dataset_path);
  MakeFolder(options.result_path);
  InferenceModel model(options);
  std::printf("runtime: %s\ninput: %s\n", InferenceModel::Runtime().c_str(), model.input().Describe().c_str());
  for (const TensorInfo &output : model.outputs()) std::printf("output: %s\n", output.Describe().c_str());
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
      Run(options);
    }
    return 0;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", OneLine(error.what()).c_str());
  } catch (...) {
    std::fprintf(stderr, "error: the runtime failed without saying why\n");
  }
  return 1;
}
