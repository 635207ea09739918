// A stand-in for libmindspore.so, which computes on Ascend and GPU alone, for tests: just the symbols the runner uses,
// with the real headers. It runs the real MindIR by handing the bytes of tensors to stand_in_server.py, a child process
// with MindSpore in Python.
//
// STAND_IN_PYTHON and STAND_IN_SERVER name interpreter and script. STAND_IN_LOG names a file that the device settings
// are appended to. STAND_IN_FAIL_AT=N lets the N-th Predict fail.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>

#include "include/api/context.h"
#include "include/api/graph.h"
#include "include/api/model.h"
#include "include/api/serialization.h"
#include "include/api/status.h"
#include "include/api/types.h"

namespace mindspore {
namespace {
std::string Variable(const char *name) {
  const char *value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void Note(const std::string &line) {
  const std::string path = Variable("STAND_IN_LOG");
  if (path.empty()) return;
  std::FILE *file = std::fopen(path.c_str(), "a");
  std::fprintf(file, "%s\n", line.c_str());
  std::fclose(file);
}

struct Description {
  std::string name;
  enum DataType type;
  std::vector<int64_t> shape;
  size_t bytes;
};

Description ReadDescription(std::istringstream words) {
  static const std::map<std::string, std::pair<enum DataType, size_t>> kTypes = {
    {"float32", {DataType::kNumberTypeFloat32, 4}},
    {"int32", {DataType::kNumberTypeInt32, 4}},
    {"uint8", {DataType::kNumberTypeUInt8, 1}}};
  Description result;
  std::string type;
  words >> result.name >> type;
  result.type = kTypes.at(type).first;
  result.bytes = kTypes.at(type).second;
  for (int64_t length; words >> length;) {
    result.shape.push_back(length);
    result.bytes *= static_cast<size_t>(length);
  }
  return result;
}

// The child process: told inputs over one pipe, it answers outputs over another.
class Server {
 public:
  explicit Server(const std::string &model) {
    int to_child[2], from_child[2];
    if (pipe(to_child) != 0 || pipe(from_child) != 0) throw std::runtime_error("pipe");
    child_ = fork();
    if (child_ == 0) {
      dup2(to_child[0], 0);
      dup2(from_child[1], 1);
      for (const int number : {to_child[0], to_child[1], from_child[0], from_child[1]}) close(number);
      const std::string python = Variable("STAND_IN_PYTHON"), script = Variable("STAND_IN_SERVER");
      execl(python.c_str(), python.c_str(), script.c_str(), model.c_str(), static_cast<char *>(nullptr));
      _exit(127);
    }
    close(to_child[0]);
    close(from_child[1]);
    in_ = fdopen(to_child[1], "wb");
    out_ = fdopen(from_child[0], "rb");
    const std::string first = Line();
    if (first.rfind("input ", 0) != 0) throw std::runtime_error(first.empty() ? "the server died" : first);
    input = ReadDescription(std::istringstream(first.substr(6)));
    output = ReadDescription(std::istringstream(Line().substr(7)));
  }

  ~Server() {
    std::fclose(in_);
    std::fclose(out_);
    waitpid(child_, nullptr, 0);
  }

  bool Run(const void *data, std::vector<char> *result) {
    result->resize(output.bytes);
    if (std::fwrite(data, 1, input.bytes, in_) != input.bytes || std::fflush(in_) != 0) return false;
    return std::fread(result->data(), 1, output.bytes, out_) == output.bytes;
  }

  Description input, output;

 private:
  std::string Line() {
    std::string line;
    for (int c = std::fgetc(out_); c != EOF && c != '\n'; c = std::fgetc(out_)) line += static_cast<char>(c);
    return line;
  }

  pid_t child_ = -1;
  std::FILE *in_ = nullptr;
  std::FILE *out_ = nullptr;
};

Status Failure(const std::string &text) { return Status(kMCFailed, text); }
}  // namespace

struct Status::Data {
  enum StatusCode code = kSuccess;
  std::vector<char> message;
};
Status::Status() : data_(std::make_shared<Data>()) {}
Status::Status(enum StatusCode code, const std::vector<char> &message) : data_(std::make_shared<Data>()) {
  data_->code = code;
  data_->message = message;
}
bool Status::operator==(enum StatusCode code) const { return data_->code == code; }
std::vector<char> Status::ToCString() const { return data_->message; }
std::vector<char> Status::GetErrDescriptionChar() const { return StringToChar("Common error code."); }

struct Context::Data {
  std::vector<std::shared_ptr<DeviceInfoContext>> devices;
};
Context::Context() : data_(std::make_shared<Data>()) {}
std::vector<std::shared_ptr<DeviceInfoContext>> &Context::MutableDeviceInfo() { return data_->devices; }
DeviceInfoContext::DeviceInfoContext() = default;
void AscendDeviceInfo::SetDeviceID(uint32_t number) { Note("Ascend " + std::to_string(number)); }
void AscendDeviceInfo::SetPrecisionMode(const std::vector<char> &mode) { Note("precision " + CharToString(mode)); }
void GPUDeviceInfo::SetDeviceID(uint32_t number) { Note("GPU " + std::to_string(number)); }

class MSTensor::Impl {
 public:
  std::string name;
  enum DataType type;
  std::vector<int64_t> shape;
  std::shared_ptr<std::vector<char>> data;
};
MSTensor::MSTensor(const std::vector<char> &name, enum DataType type, const std::vector<int64_t> &shape,
                   const void *data, size_t size)
    : impl_(std::make_shared<Impl>()) {
  const char *bytes = static_cast<const char *>(data);
  *impl_ = Impl{CharToString(name), type, shape, nullptr};
  impl_->data = std::make_shared<std::vector<char>>(bytes, bytes + (data == nullptr ? 0 : size));
}
MSTensor::~MSTensor() = default;
std::vector<char> MSTensor::CharName() const { return StringToChar(impl_->name); }
enum DataType MSTensor::DataType() const { return impl_->type; }
const std::vector<int64_t> &MSTensor::Shape() const { return impl_->shape; }
size_t MSTensor::DataSize() const { return impl_->data->size(); }
std::shared_ptr<const void> MSTensor::Data() const { return {impl_->data, impl_->data->data()}; }

class Graph::GraphData {
 public:
  std::string path;
};
Graph::Graph() : graph_data_(std::make_shared<GraphData>()) {}
Graph::~Graph() = default;
GraphCell::GraphCell(const Graph &graph) : graph_(std::make_shared<Graph>(graph)) {}
Status GraphCell::Run(const std::vector<MSTensor> &, std::vector<MSTensor> *) { return Failure("not here"); }

class ModelImpl {
 public:
  // Starts the server for the model at `path`.
  Status Start(const std::string &path, const std::shared_ptr<Context> &context) {
    if (context->MutableDeviceInfo().size() != 1) return Failure("expected one device");
    try {
      server = std::make_unique<Server>(path);
    } catch (const std::exception &error) {
      return Failure(error.what());
    }
    return kSuccess;
  }
  static std::string PathOf(const Graph &graph) { return graph.graph_data_->path; }
  static void SetPath(Graph *graph, const std::string &path) { graph->graph_data_->path = path; }

  std::unique_ptr<Server> server;
  int predictions = 0;
};

Model::Model() : impl_(std::make_shared<ModelImpl>()) {}
Model::~Model() = default;

std::vector<MSTensor> Model::GetInputs() {
  const Description &input = impl_->server->input;
  return {MSTensor(input.name, input.type, input.shape, nullptr, 0)};
}

std::vector<MSTensor> Model::GetOutputs() {
  const Description &output = impl_->server->output;
  return {MSTensor(output.name, output.type, output.shape, nullptr, 0)};
}

Status Model::Predict(const std::vector<MSTensor> &inputs, std::vector<MSTensor> *outputs, const MSKernelCallBack &,
                      const MSKernelCallBack &) {
  if (Variable("STAND_IN_FAIL_AT") == std::to_string(++impl_->predictions)) return Failure("asked to fail\nhere");
  const Description &output = impl_->server->output;
  if (inputs.size() != 1 || inputs[0].DataSize() != impl_->server->input.bytes) return Failure("wrong input");
  std::vector<char> result;
  if (!impl_->server->Run(inputs[0].Data().get(), &result)) return Failure("the server died");
  *outputs = {MSTensor(output.name, output.type, output.shape, result.data(), result.size())};
  return kSuccess;
}

Status Model::Build(const std::vector<char> &, ModelType, const std::shared_ptr<Context> &) {
  return Failure("Unsupported Feature.");  // as the real one
}
Status Model::Build(GraphCell cell, const std::shared_ptr<Context> &context, const std::shared_ptr<TrainCfg> &) {
  return impl_->Start(ModelImpl::PathOf(*cell.GetGraph()), context);
}
Status Serialization::Load(const std::vector<char> &path, ModelType type, Graph *graph, const Key &,
                           const std::vector<char> &) {
  if (type != kMindIR) return Failure("wrong type");
  ModelImpl::SetPath(graph, CharToString(path));
  return kSuccess;
}
}  // namespace mindspore
