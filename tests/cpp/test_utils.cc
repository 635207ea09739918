// Tests of the parts of the runner that need no MindSpore. Usage: test_utils EMPTY_FOLDER MINDIR
#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "inc/options.h"
#include "inc/pipeline.h"
#include "inc/queue.h"
#include "inc/tensors.h"
#include "inc/utils.h"

namespace {
int failures = 0;

#define EXPECT(condition)                                                     \
  if (!(condition)) {                                                         \
    std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);       \
    ++failures;                                                               \
  }

// Expects an error that holds `part`.
void ExpectError(const std::function<void()> &run, const std::string &part, int line) {
  try {
    run();
    std::printf("line %d: no error with '%s'\n", line, part.c_str());
    ++failures;
  } catch (const std::runtime_error &error) {
    if (std::string(error.what()).find(part) == std::string::npos) {
      std::printf("line %d: '%s' is not in: %s\n", line, part.c_str(), error.what());
      ++failures;
    }
  }
}
#define EXPECT_ERROR(statement, part) ExpectError([&] { statement; }, part, __LINE__)

std::string Read(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Write(const std::string &path, const std::string &text) { std::ofstream(path, std::ios::binary) << text; }

bool Exists(const std::string &path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

#include "test_temporary_files.h"

Options Parse(std::vector<std::string> words) {
  words.insert(words.begin(), "main");
  std::vector<char *> argv;
  for (std::string &word : words) argv.push_back(&word[0]);
  argv.push_back(nullptr);
  return ParseOptions(static_cast<int>(words.size()), argv.data());
}

void TestPaths() {
  EXPECT(Folder("a/b/c.bin") == "a/b");
  EXPECT(Folder("c.bin") == ".");
  EXPECT(Folder("/c.bin") == "/");
  EXPECT(Stem("a/b/c.bin") == "c");
  EXPECT(Stem("a.b/c.d.bin") == "c.d");  // stems with dots stay whole
  EXPECT(Stem("a/noending") == "noending");
  EXPECT(Absolute("/a/b/") == "/a/b");
  EXPECT(Absolute("/a/b/.") == "/a/b");
  EXPECT(Folder(Absolute(".")) + "/" + Stem(Absolute(".")) == Absolute(""));
  EXPECT(Absolute("x")[0] == '/' && Stem(Absolute("x")) == "x");
  EXPECT(OneLine("a\n  b\tc\n") == "a b c");
}

void TestFiles(const std::string &root) {
  MakeFolder(root + "/x/y/z");
  MakeFolder(root + "/x/y/z");
  WriteFile(root + "/x/b.bin", "12345", 5);
  WriteFile(root + "/x/b.bin", "123", 3);
  EXPECT(Read(root + "/x/b.bin") == "123");
  Write(root + "/x/a.bin", "1");
  Write(root + "/x/.hidden.bin", "1");
  Write(root + "/x/c.txt", "1");
  MakeFolder(root + "/x/folder.bin");
  EXPECT((ListInputs(root + "/x") == std::vector<std::string>{root + "/x/a.bin", root + "/x/b.bin"}));
  const std::vector<char> bytes = ReadFile(root + "/x/b.bin", 3, "it");
  EXPECT(std::string(bytes.begin(), bytes.end()) == "123");
  EXPECT_ERROR(ReadFile(root + "/x/b.bin", 4, "the model input"), "b.bin: has 3 bytes, the model input takes 4");
  EXPECT_ERROR(FileSize(root + "/none"), "cannot open " + root + "/none: No such file or directory");
  EXPECT_ERROR(FileSize(root), "is not a regular file");
  EXPECT_ERROR(ListInputs(root + "/none"), "cannot open the folder of inputs " + root + "/none: No such file");
  EXPECT_ERROR(ListInputs(root + "/x/y"), "holds no *.bin file; preprocess.py writes them");
  EXPECT_ERROR(MakeFolder(root + "/x/a.bin"), "a.bin: is not a folder");
  EXPECT_ERROR(MakeFolder(root + "/x/a.bin/b"), "is not a folder");
  EXPECT_ERROR(WriteFile(root + "/none/a.bin", "1", 1), "cannot write " + root + "/none/a.bin: No such file");
  EXPECT_ERROR(WriteFile(root + "/x/folder.bin", "1", 1), "cannot write " + root + "/x/folder.bin: Is a directory");
  EXPECT(Names(root + "/x/y/z").empty() && Names(root + "/x").size() == 6);  // nothing half-written
}

void TestTimings() {
  Timings timings;
  for (int i = 1; i <= 200; ++i) timings.inference_ms.push_back(201 - i);
  timings.pipeline_ms = {5, 1, 3};
  timings.seconds = 4;
  EXPECT(timings.Report() ==
         "NN inference cost average time: 100.500 ms of infer_count 200\n"
         "inference ms: min 1.000, median 100.000, p99 198.000\n"
         "pipeline ms, from reading an input to its written result: min 1.000, median 3.000, p99 5.000\n"
         "pipeline: 200 images in 4.000 s, 50.000 images/s\n");
  EXPECT(Spread({7}) == "min 7.000, median 7.000, p99 7.000");
}

void TestOptions() {
  const Options plain = Parse({"--mindir_path", "m", "--dataset_path=d/"});
  EXPECT(plain.model_path == "m" && plain.dataset_path == "d" && plain.result_path == "./result_Files");
  EXPECT(plain.device_type == Device::kAscend && plain.device_id == 0 && plain.warmup == 1);
  EXPECT(plain.precision_mode == "allow_fp32_to_fp16");
  EXPECT(plain.num_threads == UsableCores() && !plain.verbose);
  const Options full = Parse({"--model_path=m", "--dataset_path=d", "--result_path", "r//", "--device_id=3",
                              "--device_type=GPU", "--precision_mode=enforce_fp32", "--warmup=0", "--num_threads=7",
                              "--verbose"});
  EXPECT(full.model_path == "m" && full.num_threads == 7 && full.verbose);
  EXPECT(full.result_path == "r" && full.device_id == 3 && full.device_type == Device::kGPU && full.warmup == 0);
  EXPECT(PrecisionName(full.precision_mode, false) == "force_fp32");
  EXPECT(PrecisionName("allow_fp32_to_fp16", true) == "preferred_fp32");
  EXPECT(PrecisionName("preferred_fp32", false) == "allow_fp32_to_fp16");
  EXPECT(PrecisionName("must_keep_origin_dtype", true) == "enforce_origin");
  EXPECT(PrecisionName("preferred_optimal", false) == "allow_mix_precision");
  EXPECT(PrecisionName("enforce_fp16", false) == "force_fp16");
  EXPECT(Parse({"--help"}).help);
  EXPECT_ERROR(Parse({"--dataset_path", "d"}), "--model_path: required");
  EXPECT_ERROR(Parse({"--mindir_path", "m"}), "--dataset_path: required");
  EXPECT_ERROR(Parse({"--mindir_path", "m", "--dataset_path", "d", "--result_path="}), "--result_path: must not be");
  EXPECT_ERROR(Parse({"--speed", "9"}), "unknown option --speed");
  EXPECT_ERROR(Parse({"--warmup"}), "--warmup: needs a value");
  EXPECT_ERROR(Parse({"--device_id", "-1"}), "--device_id: expected a whole number from 0 on, got '-1'");
  EXPECT_ERROR(Parse({"--device_id", "1x"}), "got '1x'");
  EXPECT_ERROR(Parse({"--device_id", "99999999999"}), "--device_id: expected");
  EXPECT_ERROR(Parse({"--num_threads", "0"}), "--num_threads: expected a whole number from 1 on, got '0'");
  EXPECT_ERROR(Parse({"--num_threads", "all"}), "--num_threads: expected a whole number from 1 on, got 'all'");
  EXPECT_ERROR(Parse({"--device_type", "NPU"}), "--device_type: must be Ascend, GPU or CPU, got 'NPU'");
  EXPECT_ERROR(Parse({"--precision_mode", "fast"}), "--precision_mode: must be one of force_fp32 (enforce_fp32), ");
  EXPECT_ERROR(Parse({"--mindir_path", "m", "more"}), "unexpected argument 'more'");
}

// The process may use fewer cores than the machine has.
void TestCores() {
  cpu_set_t before, one;
  EXPECT(sched_getaffinity(0, sizeof(before), &before) == 0);
  EXPECT(UsableCores() == static_cast<unsigned>(CPU_COUNT(&before)));
  CPU_ZERO(&one);
  for (int core = 0; CPU_COUNT(&one) == 0; ++core) {
    if (CPU_ISSET(core, &before)) CPU_SET(core, &one);
  }
  EXPECT(sched_setaffinity(0, sizeof(one), &one) == 0 && UsableCores() == 1);
  sched_setaffinity(0, sizeof(before), &before);
}

void TestTensors() {
  const TensorInfo floats{"image", "float32", {1, 3, 360, 480}, 0}, bytes{"image", "uint8", {1, 360, 480, 3}, 0};
  const auto check = [](const TensorInfo &taken, const std::string &type, const std::vector<std::int64_t> &shape) {
    CheckOutput("m", taken, {"result", type, shape, 0});
  };
  check(floats, "int32", {1, 360, 480});
  check(bytes, "int32", {1, 360, 480});
  check(bytes, "float32", {1, 19, 360, 480});
  check(floats, "int32", {-1, -1, -1});  // not known yet
  check(floats, "float32", {-1});
  EXPECT_ERROR(check(floats, "int32", {1, 45, 60}), "m: takes 360x480 pixels (height x width) but returns 45x60");
  EXPECT_ERROR(check(bytes, "float32", {1, 19, 360, 60}), "m: takes 360x480 pixels (height x width) but returns 360x60");
  EXPECT_ERROR(check(floats, "float32", {1, 360, 480}), "m: returns float32 1x360x480, neither a class map (int32) nor");
  EXPECT_ERROR(check(bytes, "int64", {1, 360, 480}), "m: returns int64 1x360x480, neither a class map (int32) nor");
  EXPECT_ERROR(check(floats, "int32", {2, 360, 480}), "nor logits (float32) of one image");
  EXPECT_ERROR(check({"x", "float32", {1, 360, 480, 3}, 0}, "int32", {1, 360, 480}),
               "m: takes float32 1x360x480x3, not one image; export it with export.py");
  EXPECT(floats.Shape() == "1x3x360x480" && TensorInfo({"", "", {-1, 2}, 0}).Shape() == "?x2");
}

void TestMindIR(const std::string &root, const std::string &model) {
  const MindIRHeader header = ReadMindIRHeader(model);
  EXPECT(header.version == 1 && header.producer == "2.0.0");
  const std::string data = Read(model), cut = root + "/cut.mindir";
  // The file names its lengths: unless it ends between two fields, a cut is found. Only a few places lie there.
  std::size_t unnoticed = 0;
  for (std::size_t size = 0; size < data.size(); ++size) {
    Write(cut, data.substr(0, size));
    try {
      if (ReadMindIRHeader(cut).version != 0) unnoticed += data.size();  // the version comes last
      ++unnoticed;
    } catch (const std::runtime_error &) {
    }
  }
  EXPECT(unnoticed < 10);
  Write(cut, std::string(100, '\xff'));
  EXPECT_ERROR(ReadMindIRHeader(cut), "cut.mindir: not a MindIR file");
  Write(cut, "this is no model, but some text of a few words");
  EXPECT_ERROR(ReadMindIRHeader(cut), "not a MindIR file");
  EXPECT_ERROR(ReadMindIRHeader(root + "/none.mindir"), "cannot open " + root + "/none.mindir: No such file");
}

void TestQueue() {
  BoundedQueue<int> queue(2);
  std::atomic<int> pushed{0};
  std::thread producer([&] {
    for (int i = 0; i < 100 && queue.Push(i); ++i) ++pushed;
    queue.Finish();
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT(pushed == 2);  // full
  int expected = 0;
  while (const std::optional<int> item = queue.Pop()) EXPECT(*item == expected++);
  producer.join();
  EXPECT(expected == 100);
  EXPECT(!queue.Push(1));

  BoundedQueue<int> stopped(1);
  stopped.Push(1);
  std::thread waiting([&] { EXPECT(!stopped.Push(2)); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  stopped.Stop();
  waiting.join();
  EXPECT(!stopped.Pop().has_value());
}

void TestPipeline(const std::string &root) {
  const std::string inputs = root + "/inputs", results = root + "/results";
  MakeFolder(inputs);
  for (char c = 'a'; c <= 'j'; ++c) Write(inputs + "/" + c + ".bin", std::string(4, c));
  int calls = 0;
  const Predict twice = [&calls](const std::vector<char> &bytes) -> Outputs {
    ++calls;
    return {bytes, {bytes.rbegin(), bytes.rend() - 2}};
  };
  const std::vector<std::string> paths = ListInputs(inputs);
  const Timings timings = RunPipeline(twice, paths, 4, results, 3);
  EXPECT(calls == 13);
  EXPECT(timings.inference_ms.size() == 10 && timings.pipeline_ms.size() == 10 && timings.seconds > 0);
  EXPECT(Read(results + "/a_0.bin") == "aaaa" && Read(results + "/j_1.bin") == "jj");

  const Predict fails = [&calls](const std::vector<char> &bytes) -> Outputs {
    if (bytes[0] == 'c') throw std::runtime_error("c is bad");
    return {bytes};
  };
  EXPECT_ERROR(RunPipeline(fails, paths, 4, root + "/partial", 0), "c is bad");
  EXPECT(!Exists(root + "/partial/c_0.bin"));
  EXPECT_ERROR(RunPipeline(twice, paths, 5, root + "/sizes", 0), "a.bin: has 4 bytes, the model input takes 5");
  EXPECT(!Exists(root + "/sizes"));
  Write(root + "/occupied", "");
  EXPECT_ERROR(RunPipeline(twice, paths, 4, root + "/occupied", 0), "occupied: is not a folder");
  MakeFolder(root + "/blocked/e_0.bin");  // a folder where a result should go: the writer fails in the middle
  EXPECT_ERROR(RunPipeline(twice, paths, 4, root + "/blocked", 0), "cannot write " + root + "/blocked/e_0.bin");
  const Predict shrinks = [&](const std::vector<char> &bytes) -> Outputs {
    if (bytes[0] == 'a') Write(inputs + "/h.bin", "hhh");  // the reader fails in the middle
    return {bytes};
  };
  EXPECT_ERROR(RunPipeline(shrinks, paths, 4, root + "/shrunk", 0), "h.bin: has 3 bytes");
}
}  // namespace

int main(int, char **argv) {
  const std::string root = argv[1];
  TestPaths();
  TestFiles(root);
  TestTemporaryFiles(root);
  TestTimings();
  TestOptions();
  TestCores();
  TestTensors();
  TestMindIR(root, argv[2]);
  TestQueue();
  TestPipeline(root);
  if (failures == 0) std::printf("all passed\n");
  return failures == 0 ? 0 : 1;
}
