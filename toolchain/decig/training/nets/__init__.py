"""Networks that take part in training beside the generator."""
