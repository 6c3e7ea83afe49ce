"""Times of single layers, kept from one profile to the next.

Layers of one model, of its slices and of other models are often alike, and a provider that hides
its kernels may take longer to compile a layer than to run it. What was timed on a device stays in
one file of the user's cache folder; it may be deleted at any time.

No time is trusted for ever. One whose samples spread widely was taken while other programs ran:
the next profiles time the layer again, a few times at most, and the quickest time stands, because
other programs only ever add to it. After a season every time expires, as drivers and machines
change.
"""

import contextlib
import hashlib
import json
import logging
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from decig.device.run.device import Device
from decig.errors import BadInputError, DecigError
from decig.files import write_json
from decig.schema import AtLeastOne, Count, NotNegative, convert, read_json

log = logging.getLogger(__name__)

_SPREAD, _SPREAD_US = 0.05, 10.0
"""Spread, as a share of the time and in microseconds, up to one of which a time is trusted."""
_MOST_TIMINGS = 3
"""How often a layer is timed whose times are never trusted."""
_LASTS_DAYS = 90
"""Days after which a time expires."""


@dataclass(frozen=True)
class LayerTime:
    """How long one layer takes.

    Attributes:
        us: microseconds, by the lower quartile of a few runs.
        spread_us: how far their median is above that.
        day: day of the last timing, counted from 1970.
        timings: how often the layer was timed.
    """

    us: NotNegative
    spread_us: NotNegative
    day: Count
    timings: AtLeastOne = 1

    @property
    def trusted(self) -> bool:
        """Whether the runs hardly differed."""
        return self.spread_us <= max(_SPREAD * self.us, _SPREAD_US)

    @property
    def settled(self) -> bool:
        """Whether there is no use in timing the layer again."""
        return self.trusted or self.timings >= _MOST_TIMINGS

    def expired(self, today: int) -> bool:
        """Whether the time is too old to count."""
        return not 0 <= today - self.day <= _LASTS_DAYS

    def or_better(self, other: "LayerTime") -> "LayerTime":
        """Of two times of one layer, return the trusted one, or the quicker one of equals."""
        best = min((self, other), key=lambda each: (not each.trusted, each.us))
        timings = self.timings + other.timings
        return replace(best, day=max(self.day, other.day), timings=timings)


def cache_file() -> Path | None:
    """The file of all times: in $XDG_CACHE_HOME, else in ~/.cache; None without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    if not base:
        try:
            base = str(Path.home() / ".cache")
        except RuntimeError:  # a user without HOME whom the system does not know, as in containers
            return None
    return Path(base) / "decig" / "layers.json"


class LayerCache:
    """Times of layers on one device, by the layers' signatures."""

    def __init__(
        self, device: Device, file: Path | None = None, *, today: int | None = None
    ) -> None:
        """Read what is known about a device.

        Args:
            device: the device.
            file: the cache; None for the user's own, without which times are forgotten.
            today: days since 1970; None for the clock's.
        """
        self._file = file or cache_file()
        self._today = int(time.time() // 86_400) if today is None else today
        identity = json.dumps(device.fingerprint().identity(), sort_keys=True)
        self._device = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._known = self._unexpired(_read(self._file).get(self._device, {}))
        self._new: dict[str, LayerTime] = {}

    def get(self, signature: str) -> float | None:
        """Microseconds of a layer; None where it must be timed, for the first time or again."""
        found = self._known.get(signature)
        return found.us if found and (found.settled or signature in self._new) else None

    def put(self, signature: str, us: float, spread_us: float) -> float:
        """Add a timing of a layer; return the microseconds that stand now.

        Args:
            signature: of the layer.
            us: lower quartile of a few runs, microseconds.
            spread_us: how far their median is above that, microseconds.
        """
        timing = LayerTime(us, spread_us, self._today)
        _add(self._new, signature, timing)
        return _add(self._known, signature, timing).us

    def save(self) -> None:
        """Add the new times to the file; where it cannot be written, only the log says so."""
        if not self._new or self._file is None:
            return
        devices = _read(self._file)  # another process may have written to it meanwhile
        self._known = self._unexpired(devices.get(self._device, {}))
        for signature, timing in self._new.items():
            _add(self._known, signature, timing)
        self._new = {}
        entries = devices | {self._device: self._known}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, {name: _to_dict(times) for name, times in entries.items()})
        except (OSError, DecigError) as error:
            log.debug("times of layers are not kept: %s", error)

    def _unexpired(self, times: dict[str, LayerTime]) -> dict[str, LayerTime]:
        return {name: each for name, each in times.items() if not each.expired(self._today)}


def _add(times: dict[str, LayerTime], signature: str, timing: LayerTime) -> LayerTime:
    """Add a timing to times by signature; return the time that stands now."""
    known = times.get(signature)
    times[signature] = timing if known is None else known.or_better(timing)
    return times[signature]


def _to_dict(times: dict[str, LayerTime]) -> dict[str, Any]:
    return {signature: asdict(each) for signature, each in times.items()}


def _read(file: Path | None) -> dict[str, dict[str, LayerTime]]:
    """Times by device and signature; whatever is no such time counts as not there."""
    if file is None:
        return {}
    devices: dict[str, Any] = {}
    with contextlib.suppress(BadInputError):
        devices = read_json(file, dict[str, Any], "cache of layer times")
    found: dict[str, dict[str, LayerTime]] = {}
    for device, times in devices.items():
        for signature, value in times.items() if isinstance(times, dict) else ():
            with contextlib.suppress(BadInputError):
                found.setdefault(device, {})[signature] = convert(value, LayerTime, str(file))
    return found
