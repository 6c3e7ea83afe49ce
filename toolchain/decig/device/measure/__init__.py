"""Measuring on a device: nodes, single layers, rewrites, limits and the noise of the machine."""
