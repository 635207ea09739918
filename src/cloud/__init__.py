"""Input and output of cloud jobs."""
