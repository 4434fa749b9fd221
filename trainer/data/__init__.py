"""What networks learn from: batches, and the streams that make them."""
