"""Devices that are unlike the one that runs the tests."""

from dataclasses import replace

from decig.device.run.device import Device
from decig.device.run.providers import find

OPAQUE = Device(replace(find("cpu"), opaque=True))
"""This processor, as if its kernels could not be timed."""

FOREIGN = Device(replace(find("cpu"), built_in=False))
"""This processor, as if ONNX Runtime's own provider were another one."""
