"""Decig: make trained image generators fit the machine they run on.

What the commands do is there as functions, see `decig.api`; they are imported when they are first
asked for.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from decig.api import check, export, load, profile, slice
    from decig.device.run.device import Device
    from decig.errors import BadInputError, DecigError, TargetMissedError

__all__ = [
    "BadInputError",
    "DecigError",
    "Device",
    "TargetMissedError",
    "check",
    "export",
    "load",
    "profile",
    "slice",
]

_PLACES = {
    "Device": "decig.device.run.device",
    "BadInputError": "decig.errors",
    "DecigError": "decig.errors",
    "TargetMissedError": "decig.errors",
}
"""Modules of the public names that are not functions of `decig.api`."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'decig' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(_PLACES.get(name, "decig.api")), name)
    globals()[name] = found
    return found
