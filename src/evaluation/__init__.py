"""One evaluator for eval.py and for training."""
