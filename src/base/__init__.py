"""Foundations that import nothing else of this project: errors, files, claims, cores, progress."""
