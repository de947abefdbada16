"""Frames reach their channel, and the rest reaches aiormq in order, wherever the network splits them."""
