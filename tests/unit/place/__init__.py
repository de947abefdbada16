"""What `place` says and when, what counts as a result, and how its input and its results read."""
