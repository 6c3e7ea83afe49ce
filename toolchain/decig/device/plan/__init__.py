"""Choosing the widths of a model for a latency."""
