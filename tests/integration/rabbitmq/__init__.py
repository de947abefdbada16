"""What only a real broker and a real network can do to a process, and how it comes back."""
