"""Parked documents: one row a message id, kept whole, listed, shown, replayed and discarded from the command line."""
