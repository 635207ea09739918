"""Transforms: small classes called with ``(image, label, rng)``, returning ``(image, label)``.

Until `Normalize` the image is (H, W, 3) uint8 RGB, the label (H, W) uint8 train ids; in evaluation it may be None.
Every random draw comes from `rng`, so that the caller decides what a sample looks like.
"""
