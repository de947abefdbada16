"""The public edge, as our own tools use it."""
