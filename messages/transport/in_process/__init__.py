"""The carrier of one process: the same promises, with nothing to install."""
