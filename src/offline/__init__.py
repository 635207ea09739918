"""Deployment: export, and inference with exported models."""
