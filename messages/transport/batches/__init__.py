"""What has arrived, taken in batches, and each batch handled in one transaction."""
