"""Decig: make trained image generators fit the machine they run on.

What the commands do is there as functions, see `decig.api`; they are imported when they are first
asked for.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from decig.api.compression import compress
    from decig.api.deployment import check, export, profile, slice
    from decig.api.models import load
    from decig.api.training import train
    from decig.device.run.device import Device
    from decig.errors import BadInputError, DecigError, TargetMissedError

__all__ = [
    "BadInputError",
    "DecigError",
    "Device",
    "TargetMissedError",
    "check",
    "compress",
    "export",
    "load",
    "profile",
    "slice",
    "train",
]

_PLACES = {
    "load": "decig.api.models",
    "profile": "decig.api.deployment",
    "slice": "decig.api.deployment",
    "export": "decig.api.deployment",
    "check": "decig.api.deployment",
    "compress": "decig.api.compression",
    "train": "decig.api.training",
    "Device": "decig.device.run.device",
    "BadInputError": "decig.errors",
    "DecigError": "decig.errors",
    "TargetMissedError": "decig.errors",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'decig' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found
