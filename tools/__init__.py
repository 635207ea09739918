"""What renders the demo's data and what measures: no part of the product."""

from src.utils.local_adapter import cap_onednn

cap_onednn()  # some of its processes run networks
