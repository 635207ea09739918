// The inputs and outputs of a model, independent of the runtime. No MindSpore header here.
#ifndef ASCEND310_INFER_TENSORS_H_
#define ASCEND310_INFER_TENSORS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct TensorInfo {
  std::string name;
  std::string type;  // e.g. "float32"
  std::vector<std::int64_t> shape;
  std::size_t bytes = 0;  // 0 if a length is not known yet

  // Returns e.g. "float32 1x3x1024x2048", with ? for a length that is not known yet.
  std::string Shape() const;
  // Returns whether all lengths are known.
  bool IsKnown() const;
};

// Throws std::runtime_error unless the model takes one image and returns classes or logits for each of its pixels. A
// shape that is not known yet is accepted.
void CheckOutput(const std::string &path, const TensorInfo &taken, const TensorInfo &given);

#endif  // ASCEND310_INFER_TENSORS_H_
