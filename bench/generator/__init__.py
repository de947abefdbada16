"""The customers, in a process of their own: they send each order in its time, and note when its outcome arrives."""
