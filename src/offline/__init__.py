"""Deployment: exports, and inference with exported models."""
