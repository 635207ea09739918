"""Tools outside the product: rendering the demo's data, benchmarks, and the check of a new device."""

from src.utils.local_adapter import cap_onednn

cap_onednn()  # some of its processes run networks
