#include "inc/model.h"

#ifdef ENABLE_LITE
#include <dlfcn.h>
#endif

#include <map>
#include <stdexcept>

#include "include/api/context.h"
#include "include/api/model.h"
#include "include/api/serialization.h"
#include "include/api/status.h"
#include "include/api/types.h"
#include "inc/utils.h"

namespace ms = mindspore;

namespace {
#ifdef ENABLE_LITE
constexpr bool kLite = true;
#else
constexpr bool kLite = false;
#endif

[[noreturn]] void Fail(const std::string &text) { throw std::runtime_error(text); }

void Check(const ms::Status &status, const std::string &step) {
  if (status == ms::kSuccess) return;
  const std::string details = OneLine(status.ToString());  // the description may be just "Common error"
  Fail(step + " failed: " + (details.empty() ? OneLine(status.GetErrDescription()) : details) +
       " (--verbose shows what the runtime itself says)");
}

struct ElementType {
  const char *name;
  std::size_t bytes;
};

ElementType TypeOf(const ms::MSTensor &tensor) {
  static const std::map<ms::DataType, ElementType> kTypes = {
    {ms::DataType::kNumberTypeBool, {"bool", 1}},       {ms::DataType::kNumberTypeInt8, {"int8", 1}},
    {ms::DataType::kNumberTypeUInt8, {"uint8", 1}},     {ms::DataType::kNumberTypeInt16, {"int16", 2}},
    {ms::DataType::kNumberTypeInt32, {"int32", 4}},     {ms::DataType::kNumberTypeInt64, {"int64", 8}},
    {ms::DataType::kNumberTypeFloat16, {"float16", 2}}, {ms::DataType::kNumberTypeFloat32, {"float32", 4}},
    {ms::DataType::kNumberTypeFloat64, {"float64", 8}},
  };
  const auto found = kTypes.find(tensor.DataType());
  if (found == kTypes.end()) Fail("tensor " + tensor.Name() + ": unknown type");
  return found->second;
}

TensorInfo InfoOf(const ms::MSTensor &tensor) {
  const ElementType type = TypeOf(tensor);
  TensorInfo info{tensor.Name(), type.name, tensor.Shape(), type.bytes};
  for (const std::int64_t length : info.shape) info.bytes *= length > 0 ? static_cast<std::size_t>(length) : 0;
  return info;
}

// As above, for a tensor whose shape must be known.
TensorInfo KnownInfoOf(const ms::MSTensor &tensor) {
  const TensorInfo info = InfoOf(tensor);
  if (!info.IsKnown()) {
    Fail("tensor " + info.name + ", " + info.Shape() + ": has no fixed shape; export the model with --image_size");
  }
  return info;
}

std::string DeviceName(const Options &options) {
  if (options.device_type == Device::kCPU) return "CPU";
  return (options.device_type == Device::kGPU ? "GPU " : "Ascend ") + std::to_string(options.device_id);
}

std::shared_ptr<ms::DeviceInfoContext> DeviceInfo(const Options &options) {
  if (options.device_type == Device::kCPU) return std::make_shared<ms::CPUDeviceInfo>();
  if (options.device_type == Device::kGPU) {
    auto gpu = std::make_shared<ms::GPUDeviceInfo>();
    gpu->SetDeviceID(options.device_id);
    return gpu;
  }
  auto ascend = std::make_shared<ms::AscendDeviceInfo>();
  ascend->SetDeviceID(options.device_id);
  ascend->SetPrecisionMode(PrecisionName(options.precision_mode, kLite));
  return ascend;
}

// Returns the newest MindIR format that the runtime reads, 0 if unknown.
int NewestFormat() {
#ifdef ENABLE_LITE
  // mindspore::Version() is empty in Lite, but the check that its reader uses is exported.
  const auto is_valid = reinterpret_cast<bool (*)(int)>(dlsym(RTLD_DEFAULT, "_ZN7mind_ir15Version_IsValidEi"));
  int newest = 0;
  while (is_valid != nullptr && newest < 1000 && is_valid(newest + 1)) ++newest;
  return newest;
#elif defined(NEWEST_MINDIR)
  return NEWEST_MINDIR;
#else
  return 0;
#endif
}

// Refuses files at which the runtime would crash or print a long trace.
void CheckFormat(const std::string &path) {
  const MindIRHeader header = ReadMindIRHeader(path);
#ifndef ENABLE_LITE
  if (header.version == 0) Fail(path + ": truncated, or not a MindIR of MindSpore 2.0 or later");
#endif
  const int newest = NewestFormat();
  if (newest > 0 && header.version > newest) {
    Fail(path + ": MindIR format " + std::to_string(header.version) + ", written by MindSpore " + header.producer +
         ", but this runtime reads formats up to " + std::to_string(newest) + "; export with " +
         (newest == 1 ? "MindSpore 2.0.0" : "an older MindSpore") +
         (kLite ? ", or export --file_format ONNX and convert it with scripts/convert_to_lite.sh" : ""));
  }
}
}  // namespace

struct InferenceModel::Impl {
  ms::Model model;
};

InferenceModel::InferenceModel(const Options &options) : impl_(std::make_unique<Impl>()), path_(options.model_path) {
  const std::string &path = path_;
  CheckFormat(path);
  auto context = std::make_shared<ms::Context>();
  context->MutableDeviceInfo().push_back(DeviceInfo(options));
#ifdef ENABLE_LITE
  // libmindspore.so has no CPU, and on other devices the threads of the host do not compute.
  if (options.device_type == Device::kCPU) context->SetThreadNum(static_cast<std::int32_t>(options.num_threads));
  Check(impl_->model.Build(path, ms::kMindIR, context), path + ": Build for " + DeviceName(options));
#else
  // Build(path, ...) is declared in these versions, too, but fails with "Unsupported Feature."
  ms::Graph graph;
  Check(ms::Serialization::Load(path, ms::kMindIR, &graph), path + ": Load");
  Check(impl_->model.Build(ms::GraphCell(graph), context), path + ": Build for " + DeviceName(options));
#endif
  const std::vector<ms::MSTensor> inputs = impl_->model.GetInputs();
  if (inputs.size() != 1) Fail(path + ": has " + std::to_string(inputs.size()) + " inputs, expected one");
  input_ = KnownInfoOf(inputs.front());
  const std::vector<TensorInfo> returned = outputs();
  if (returned.empty()) Fail(path + ": returns nothing");
  CheckOutput(path, input_, returned.front());
}

InferenceModel::~InferenceModel() = default;

std::vector<TensorInfo> InferenceModel::outputs() const {
  std::vector<TensorInfo> infos;
  for (const ms::MSTensor &tensor : impl_->model.GetOutputs()) infos.push_back(InfoOf(tensor));
  return infos;
}

Outputs InferenceModel::Predict(const std::vector<char> &input) {
  const std::vector<ms::MSTensor> slots = impl_->model.GetInputs();
  const ms::MSTensor &slot = slots.front();
  const std::vector<ms::MSTensor> inputs = {
    ms::MSTensor(slot.Name(), slot.DataType(), slot.Shape(), input.data(), input.size())};
  std::vector<ms::MSTensor> outputs;
  Check(impl_->model.Predict(inputs, &outputs), "Predict");
  Outputs results;
  for (const ms::MSTensor &tensor : outputs) {
    const std::shared_ptr<const void> data = tensor.Data();
    const TensorInfo info = KnownInfoOf(tensor);
    if (results.empty()) CheckOutput(path_, input_, info);
    const std::size_t expected = info.bytes;
    if (!data || tensor.DataSize() != expected) {
      Fail("Predict failed: output " + tensor.Name() + " has " + std::to_string(tensor.DataSize()) + " bytes, its shape " +
           std::to_string(expected));
    }
    const char *bytes = static_cast<const char *>(data.get());
    results.emplace_back(bytes, bytes + expected);
  }
  if (results.empty()) Fail("Predict failed: the model returned nothing");
  return results;
}

std::string InferenceModel::Runtime() { return kLite ? "MindSpore Lite" : "libmindspore.so"; }
