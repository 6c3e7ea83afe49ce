"""Losses of training, one file per kind."""
