"""Image folders to numpy arrays."""
