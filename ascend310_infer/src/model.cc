#include "inc/model.h"

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
  const std::string details = OneLine(status.ToString());  // the description alone may say no more than "Common error"
  Fail(step + " failed: " + (details.empty() ? OneLine(status.GetErrDescription()) : details));
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
  for (const std::int64_t length : info.shape) {
    if (length <= 0) Fail("tensor " + info.Describe() + ": has no fixed shape; export the model with --image_size");
    info.bytes *= static_cast<std::size_t>(length);
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

// Refuses what the runtime would answer with a crash or a long trace.
void CheckFormat(const std::string &path) {
  const MindIRHeader header = ReadMindIRHeader(path);
#ifndef ENABLE_LITE
  if (header.version == 0) Fail(path + ": truncated, or no MindIR of MindSpore 2.0 or later");
#endif
#ifdef NEWEST_MINDIR
  if (header.version > NEWEST_MINDIR) {
    Fail(path + ": MindIR format " + std::to_string(header.version) + ", written by MindSpore " + header.producer +
         ", but this runtime reads formats up to " + std::to_string(NEWEST_MINDIR) +
         "; export with a MindSpore no newer than the runtime");
  }
#endif
}
}  // namespace

struct InferenceModel::Impl {
  ms::Model model;
};

InferenceModel::InferenceModel(const Options &options) : impl_(std::make_unique<Impl>()) {
  const std::string &path = options.mindir_path;
  CheckFormat(path);
  auto context = std::make_shared<ms::Context>();
  context->MutableDeviceInfo().push_back(DeviceInfo(options));
#ifdef ENABLE_LITE
  Check(impl_->model.Build(path, ms::kMindIR, context), path + ": Build for " + DeviceName(options));
#else
  // Build(path, ...) is declared in these versions, too, but answers "Unsupported Feature."
  ms::Graph graph;
  Check(ms::Serialization::Load(path, ms::kMindIR, &graph), path + ": Load");
  Check(impl_->model.Build(ms::GraphCell(graph), context), path + ": Build for " + DeviceName(options));
#endif
  const std::vector<ms::MSTensor> inputs = impl_->model.GetInputs();
  if (inputs.size() != 1) Fail(path + ": has " + std::to_string(inputs.size()) + " inputs, expected one");
  input_ = InfoOf(inputs.front());
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
    const std::size_t expected = InfoOf(tensor).bytes;
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

std::string TensorInfo::Describe() const {
  std::string text = name + ", " + type + " ";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : "x") + std::to_string(shape[i]);
  return text;
}
