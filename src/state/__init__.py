"""What a run is at a step: weights, counters, names of checkpoints."""
