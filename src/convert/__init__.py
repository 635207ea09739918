"""Convert public PyTorch weights to checkpoints, and back."""
