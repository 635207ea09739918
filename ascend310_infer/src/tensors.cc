#include "inc/tensors.h"

#include <algorithm>
#include <stdexcept>

namespace {
[[noreturn]] void Fail(const std::string &text) { throw std::runtime_error(text); }

struct Size {
  std::int64_t height, width;
};

bool operator!=(const Size &a, const Size &b) { return a.height != b.height || a.width != b.width; }

std::string Text(const Size &size) { return std::to_string(size.height) + "x" + std::to_string(size.width); }

Size InputSize(const std::string &path, const TensorInfo &taken) {
  const std::vector<std::int64_t> &shape = taken.shape;
  if (shape.size() == 4 && shape[0] == 1) {
    if (taken.type == "float32" && shape[1] == 3) return {shape[2], shape[3]};
    if (taken.type == "uint8" && shape[3] == 3) return {shape[1], shape[2]};
  }
  Fail(path + ": takes " + taken.type + " " + taken.Shape() + ", not one image; export it with export.py");
}
}  // namespace

std::string TensorInfo::Shape() const {
  std::string text;
  for (const std::int64_t length : shape) {
    text += (text.empty() ? "" : "x") + (length > 0 ? std::to_string(length) : "?");
  }
  return text;
}

bool TensorInfo::IsKnown() const {
  return std::all_of(shape.begin(), shape.end(), [](std::int64_t length) { return length > 0; });
}

void CheckOutput(const std::string &path, const TensorInfo &taken, const TensorInfo &given) {
  const Size size = InputSize(path, taken);
  if (!given.IsKnown()) return;
  const std::size_t rank = given.shape.size();
  const bool is_class_map = given.type == "int32" && rank == 3;
  const bool is_logits = given.type == "float32" && rank == 4;
  if ((!is_class_map && !is_logits) || given.shape[0] != 1) {
    Fail(path + ": returns " + given.type + " " + given.Shape() +
         ", neither a class map (int32) nor logits (float32) of one image");
  }
  const Size returned{given.shape[rank - 2], given.shape[rank - 1]};
  if (returned != size) {
    Fail(path + ": takes " + Text(size) + " pixels (height x width) but returns " + Text(returned));
  }
}
