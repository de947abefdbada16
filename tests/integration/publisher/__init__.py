"""What was committed is published, whatever happens to the broker or to us, and nothing else ever is."""
