"""Decig: make trained image generators fit the machine they run on."""

__version__ = "0.1.0"
