"""Times of single layers, kept from one profile to the next.

Layers of one model, of its slices and of other models are often alike, and a provider that hides
its kernels may take longer to compile a layer than to run it. What was timed on a device lies in
one file of the user's cache folder; it may be deleted at any time.
"""

import contextlib
import hashlib
import json
import logging
import math
import os
from pathlib import Path

from decig.device.run.fingerprint import SAME_DEVICE_KEYS, fingerprint
from decig.device.run.session import DeviceOptions
from decig.errors import DecigError
from decig.files import write_json

log = logging.getLogger(__name__)


def cache_file() -> Path:
    """Where the times lie: in $XDG_CACHE_HOME, else in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "decig" / "layers.json"


class LayerCache:
    """Microseconds of layers on one device, by signature."""

    def __init__(self, options: DeviceOptions, file: Path | None = None) -> None:
        """Read what is known of a device.

        Args:
            options: the device.
            file: the cache; the user's own by default.
        """
        self._file = file or cache_file()
        here = fingerprint(options)
        device = json.dumps({key: here[key] for key in SAME_DEVICE_KEYS}, sort_keys=True)
        self._device = hashlib.sha256(device.encode()).hexdigest()[:16]
        self._known = _read(self._file).get(self._device, {})
        self._fresh: dict[str, float] = {}

    def get(self, signature: str) -> float | None:
        """Microseconds of a layer, None for one that was never timed."""
        return self._fresh.get(signature, self._known.get(signature))

    def put(self, signature: str, us: float) -> None:
        """Remember a layer."""
        self._fresh[signature] = us

    def save(self) -> None:
        """Add what is new to the file; where that cannot be written, only say so in the log."""
        if not self._fresh:
            return
        devices = _read(self._file)  # another process may have written meanwhile
        self._known = devices.get(self._device, {}) | self._known | self._fresh
        self._fresh = {}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, devices | {self._device: self._known})
        except (OSError, DecigError) as error:
            log.debug("layer times are not kept: %s", error)


def _read(file: Path) -> dict[str, dict[str, float]]:
    """Times by device and signature; what is not such a time is as good as not there."""
    found: object = None
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(file.read_bytes())
    if not isinstance(found, dict):
        return {}
    return {
        device: {name: float(us) for name, us in times.items() if _is_time(us)}
        for device, times in found.items()
        if isinstance(times, dict)
    }


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0
