"""The plain saga, for comparison: the same steps, with a statement and a message for each of them.

No outbox, no expiry, no refusals, nothing given back: the least that places an order, and loses some when it dies.
"""
