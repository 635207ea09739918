"""Start the ranks of a job, wait for them and restart them."""
