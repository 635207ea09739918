// A MindIR on a device, through MindSpore Lite or libmindspore.so.
#ifndef ASCEND310_INFER_MODEL_H_
#define ASCEND310_INFER_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "inc/options.h"
#include "inc/pipeline.h"

struct TensorInfo {
  std::string name;
  std::string type;  // e.g. "float32"
  std::vector<std::int64_t> shape;
  std::size_t bytes = 0;

  // Returns e.g. "image, float32 1x3x1024x2048".
  std::string Describe() const;
};

class InferenceModel {
 public:
  // Loads and builds the model; throws std::runtime_error with the file and the cause.
  explicit InferenceModel(const Options &options);
  ~InferenceModel();
  InferenceModel(const InferenceModel &) = delete;
  InferenceModel &operator=(const InferenceModel &) = delete;

  const TensorInfo &input() const { return input_; }
  std::vector<TensorInfo> outputs() const;

  // Runs the model on the bytes of one input, which must be input().bytes of them.
  Outputs Predict(const std::vector<char> &input);

  // Names the runtime the program was built for.
  static std::string Runtime();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  TensorInfo input_;
};

#endif  // ASCEND310_INFER_MODEL_H_
