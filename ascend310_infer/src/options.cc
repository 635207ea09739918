#include "inc/options.h"

#include <getopt.h>
#include <sched.h>

#include <array>
#include <limits>
#include <stdexcept>

namespace {
struct PrecisionNames {
  const char *acl;   // in libmindspore.so
  const char *lite;  // in MindSpore Lite
};

constexpr std::array<PrecisionNames, 5> kPrecisions = {{
  {"force_fp32", "enforce_fp32"},
  {"allow_fp32_to_fp16", "preferred_fp32"},
  {"force_fp16", "enforce_fp16"},
  {"must_keep_origin_dtype", "enforce_origin"},
  {"allow_mix_precision", "preferred_optimal"},
}};

[[noreturn]] void Refuse(const std::string &text) { throw std::runtime_error(text + "; see --help"); }

std::uint32_t Number(const std::string &option, const std::string &text, std::uint32_t least = 0) {
  const bool digits = !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoul(text) < least) {
    Refuse(option + ": expected a whole number from " + std::to_string(least) + " on, got '" + text + "'");
  }
  return static_cast<std::uint32_t>(std::stoul(text));
}

Device DeviceType(const std::string &text) {
  if (text == "Ascend") return Device::kAscend;
  if (text == "GPU") return Device::kGPU;
  if (text == "CPU") return Device::kCPU;
  Refuse("--device_type: must be Ascend, GPU or CPU, got '" + text + "'");
}

void Set(Options *options, int option, const std::string &value) {
  switch (option) {
    case 'm': options->model_path = value; break;
    case 'd': options->dataset_path = value; break;
    case 'r': options->result_path = value; break;
    case 'i': options->device_id = Number("--device_id", value); break;
    case 't': options->device_type = DeviceType(value); break;
    case 'p':
      PrecisionName(value, false);
      options->precision_mode = value;
      break;
    case 'w': options->warmup = Number("--warmup", value); break;
    case 'n': options->num_threads = Number("--num_threads", value, 1); break;
    case 'v': options->verbose = true; break;
    default: options->help = true;
  }
}

std::string WithoutEndingSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}
}  // namespace

std::string PrecisionName(const std::string &mode, bool lite) {
  std::string known;
  for (const PrecisionNames &names : kPrecisions) {
    if (mode == names.acl || mode == names.lite) return lite ? names.lite : names.acl;
    known += std::string(known.empty() ? "" : ", ") + names.acl + " (" + names.lite + ")";
  }
  Refuse("--precision_mode: must be one of " + known + ", got '" + mode + "'");
}

Options ParseOptions(int argc, char **argv) {
  static const option kLong[] = {
    {"model_path", required_argument, nullptr, 'm'},
    {"mindir_path", required_argument, nullptr, 'm'},  // alias
    {"dataset_path", required_argument, nullptr, 'd'},
    {"result_path", required_argument, nullptr, 'r'},
    {"device_id", required_argument, nullptr, 'i'},
    {"device_type", required_argument, nullptr, 't'},
    {"precision_mode", required_argument, nullptr, 'p'},
    {"warmup", required_argument, nullptr, 'w'},
    {"num_threads", required_argument, nullptr, 'n'},
    {"verbose", no_argument, nullptr, 'v'},
    {"help", no_argument, nullptr, 'h'},
    {nullptr, 0, nullptr, 0},
  };
  Options options;
  opterr = 0;
  optind = 1;
  int option = 0;
  for (int at = optind; (option = getopt_long(argc, argv, "+:h", kLong, nullptr)) != -1; at = optind) {
    if (option == '?') Refuse("unknown option " + std::string(argv[at]));
    if (option == ':') Refuse(std::string(argv[at]) + ": needs a value");
    Set(&options, option, optarg == nullptr ? "" : optarg);
  }
  if (optind < argc) Refuse("unexpected argument '" + std::string(argv[optind]) + "'");
  if (options.help) return options;
  if (options.model_path.empty()) Refuse("--model_path: required");
  if (options.dataset_path.empty()) Refuse("--dataset_path: required");
  if (options.result_path.empty()) Refuse("--result_path: must not be empty");
  options.dataset_path = WithoutEndingSlash(options.dataset_path);
  options.result_path = WithoutEndingSlash(options.result_path);
  if (options.num_threads == 0) options.num_threads = UsableCores();
  return options;
}

unsigned UsableCores() {
  cpu_set_t cores;
  const int count = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 0;
  return count > 0 ? static_cast<unsigned>(count) : 1;
}

std::string Usage() {
  return "Usage: main --model_path FILE --dataset_path DIR [options]\n"
         "Runs a MindIR over every DIR/<stem>.bin and writes the outputs to <result_path>/<stem>_<output>.bin and the\n"
         "times to time_Result/test_perform_static.txt beside the results.\n"
         "  --model_path FILE       the model; --mindir_path is an alias\n"
         "  --dataset_path DIR      folder of inputs, as preprocess.py writes them\n"
         "  --result_path DIR       folder of results (default ./result_Files)\n"
         "  --device_id N           device number (default 0)\n"
         "  --device_type TYPE      Ascend, GPU or CPU (default Ascend)\n"
         "  --precision_mode MODE   precision on Ascend, by either runtime's name (default allow_fp32_to_fp16, which is\n"
         "                          preferred_fp32 in MindSpore Lite)\n"
         "  --warmup N              runs before the clock starts (default 1)\n"
         "  --num_threads N         threads of MindSpore Lite on the CPU (default: all cores the process may use)\n"
         "  --verbose               show the runtime's own log lines, too, at the level that GLOG_v sets\n";
}
