"""Print which platforms the installed MindSpore documents for primitives, as JSON: ``make_platforms.py NAME ...``.

`tests/golden/operator_platforms.json` holds what MindSpore 2.0.0 and 2.10.0 say. A primitive without documentation of
its own stands for the operator in OTHERS, whose gradient or internal form it is.
"""

from __future__ import annotations

import importlib
import json
import re
import sys

MODULES = (
    "mindspore.ops.operations",
    "mindspore.ops.auto_generate",
    "mindspore.ops.operations._grad_ops",
    "mindspore.ops.operations._inner_ops",
    "mindspore.ops.operations.math_ops",
    "mindspore.ops.operations.nn_ops",
)
# What the documentation of a primitive that has none is to be looked for under.
OTHERS = {
    "BatchNormGrad": "BatchNorm",
    "BiasAddGrad": "BiasAdd",
    "Conv2DBackpropFilter": "Conv2D",
    "Conv2DBackpropInput": "Conv2D",
    "Divs": "Div",
    "DropoutGrad": "Dropout",
    "EqScalar": "Equal",
    "GatherDGradV2": "GatherD",
    "LessScalar": "Less",
    "MatMulExt": "MatMul",
    "MaxPoolGrad": "MaxPool",
    "Muls": "Mul",
    "ReluGrad": "ReLU",
    "ResizeBilinearGrad": "ResizeBilinearV2",
    "ResizeNearestNeighborGrad": "ResizeNearestNeighbor",
    "SigmoidGrad": "Sigmoid",
    "SplitWithSize": "Split",
    "SumExt": "ReduceSum",
    "SyncBatchNormGrad": "SyncBatchNorm",
}
PLATFORMS = re.compile(r"Supported Platforms:\s*\n\s*((?:``\w+``\s*)+)")
REFERENCE = re.compile(r"(?:Refer to|see)\s+:(?:func|class):`(mindspore[\w.]+)`", re.IGNORECASE)


def find(path: str) -> object:
    """Return what a dotted path names, None if there is no such thing."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return getattr(find(module), name, None) if module else None


def documented(thing: object, depth: int = 0) -> list[str]:
    """Return the platforms in a docstring, or in the one it refers to."""
    text = getattr(thing, "__doc__", None) or ""
    found = PLATFORMS.search(text)
    if found:
        return re.findall(r"``(\w+)``", found[1])
    reference = REFERENCE.search(text)
    return documented(find(reference[1]), depth + 1) if reference and depth < 3 else []


def platforms(name: str) -> list[str]:
    """Return the platforms of a primitive, or of the operator it belongs to; [] if nothing is documented."""
    for candidate in dict.fromkeys((name, OTHERS.get(name, name))):
        for module in MODULES:
            found = documented(find(f"{module}.{candidate}"))
            if found:
                return found
    return []


if __name__ == "__main__":
    json.dump({name: platforms(name) for name in sys.argv[1:]}, sys.stdout, indent=1)
