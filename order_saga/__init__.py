"""Places an order, or undoes every trace of trying."""
