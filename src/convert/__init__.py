"""Public PyTorch weights in this repository's form, and back."""
