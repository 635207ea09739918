// A MindIR on a device, through MindSpore Lite or libmindspore.so.
#ifndef ASCEND310_INFER_MODEL_H_
#define ASCEND310_INFER_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "inc/options.h"
#include "inc/pipeline.h"
#include "inc/tensors.h"

class InferenceModel {
 public:
  // Loads and builds the model; throws std::runtime_error with the file and the cause. Also refuses a model whose
  // output differs in height or width from its input, which happens if a runtime drops an operator.
  explicit InferenceModel(const Options &options);
  ~InferenceModel();
  InferenceModel(const InferenceModel &) = delete;
  InferenceModel &operator=(const InferenceModel &) = delete;

  const TensorInfo &input() const { return input_; }
  std::vector<TensorInfo> outputs() const;

  // Runs the model on one input of input().bytes bytes, and checks the output as above, since the shape of some models'
  // output is not known earlier.
  Outputs Predict(const std::vector<char> &input);

  // Returns the name of the runtime that the program was built for.
  static std::string Runtime();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::string path_;
  TensorInfo input_;
};

#endif  // ASCEND310_INFER_MODEL_H_
