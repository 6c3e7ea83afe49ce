"""How many processor cores this process may use."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

GROUPS = Path("/proc/self/cgroup")
"""Names the control groups of this process, one line each: "number:controllers:path"."""
MOUNT = Path("/sys/fs/cgroup")
"""Where the files of control groups are."""


def available_cores() -> int:
    """Count the processor cores that this process may use, at least 1.

    A process may be bound to some of the machine's cores (its affinity), and a container may be
    given only a share of their time (the quota of its control group). A quota of one and a half
    cores counts as two.

    Source: Linux kernel documentation, "Control Group v2", section CPU Interface Files, and
    "CFS Bandwidth Control" for version 1.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, math.ceil(min([cores or 1, *_quotas()])))


def _quotas() -> Iterator[float]:
    """Yield how many cores' time each control group around this process allows."""
    for folder in _folders():
        with contextlib.suppress(OSError, ValueError):  # no such file, or "max": no quota
            quota, period = _read(folder / "cpu.max").split()
            yield int(quota) / int(period)
        with contextlib.suppress(OSError, ValueError):
            quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            if int(quota) > 0:  # -1: no quota
                yield int(quota) / int(period)


def _folders() -> Iterator[Path]:
    """Yield the folders of this process's control groups and of the groups around them."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        lines = _read(GROUPS).splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = MOUNT / "cpu" if controllers else MOUNT
        group = mount / path.strip("/")
        yield group
        yield from (parent for parent in group.parents if parent.is_relative_to(mount))


def _read(file: Path) -> str:
    """Text of a file, whose names of folders may be of any bytes, in any locale."""
    return os.fsdecode(file.read_bytes())
