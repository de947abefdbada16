"""What `place` says and when, what counts as an answer, and how its input and its answers read."""
