// Runs inputs through a model; reading and writing overlap with inference. No MindSpore header here.
#ifndef ASCEND310_INFER_PIPELINE_H_
#define ASCEND310_INFER_PIPELINE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "inc/utils.h"

using Outputs = std::vector<std::vector<char>>;  // the bytes of every output of the model
using Predict = std::function<Outputs(const std::vector<char> &)>;

// Runs `predict` over the files `inputs` of `input_bytes` bytes each, and writes `results`/<stem>_<output>.bin for each.
//
// The first input runs `warmup` times before the clock starts. An exception of any thread is rethrown after all threads
// have ended; every result file that exists then is complete.
Timings RunPipeline(const Predict &predict, const std::vector<std::string> &inputs, std::size_t input_bytes,
                    const std::string &results, unsigned warmup);

#endif  // ASCEND310_INFER_PIPELINE_H_
