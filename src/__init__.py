"""BiSeNetV2 for MindSpore: training and evaluation."""

from src.utils.local_adapter import prepare_environment

# Before any module of this package can import MindSpore: some variables only count while its kernels load.
prepare_environment()
