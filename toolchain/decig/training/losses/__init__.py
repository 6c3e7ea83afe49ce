"""Losses of training: one small file per kind, with its equation and its source."""
