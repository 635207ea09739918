"""BiSeNetV2 for MindSpore: training and evaluation."""

from src.utils.local_adapter import prepare_environment

# Before any module of this package can import NumPy or MindSpore: some things only count while they load.
prepare_environment()
