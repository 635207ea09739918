"""The state of a run: weights, counters, checkpoints."""
