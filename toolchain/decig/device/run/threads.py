"""How many threads compute, and how they wait, wherever no latency is measured.

A latency belongs to the number of threads that its device was given. Everything else (scores,
repair, training, runs on images) takes the cores that this process may use.

OpenMP (PyTorch) and OpenBLAS (numpy, scipy) split an operation into equal parts, and the threads
that are done wait for the last one. By default they spin while they wait. Where another program
holds one of the cores, the last part waits for that core, operation after operation, and the
spinning threads keep it waiting longer. `benchmarks/threads.py` measures that, alone and beside a
busy program. So OpenMP's threads spin for some microseconds only and sleep then, which costs
little where the cores are free, and OpenBLAS, which can only spin, gets one thread. ONNX Runtime
hands out small parts to whichever thread is free; all available cores are right for it.
"""

import os
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path, PurePosixPath

_CONTROL = Path("/sys/fs/cgroup")
_MEMBERSHIPS = Path("/proc/self/cgroup")

_SPINS = "1000"
"""Turns of a loop for which a waiting thread of GNU's OpenMP spins before it sleeps. 0 makes small
steps a quarter slower on free cores; 10,000 makes them ten times slower beside a busy program."""


def available_cores() -> int:
    """Cores that this process may use, at least 1.

    The affinity of the process (`taskset`, `docker --cpuset-cpus`) and the quota of its control
    group (`docker --cpus`, Kubernetes limits) both hold; half a core of a quota is not counted.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, int(min(allowed or 1, cpu_quota())))


def cpu_quota(memberships: Path = _MEMBERSHIPS, control: Path = _CONTROL) -> float:
    """Cores' worth of processor time that the control groups of this process grant.

    Args:
        memberships: Linux's list of the control groups of a process.
        control: where the control groups are mounted, of version 1, 2 or both.

    Returns:
        The least of the limits of all groups, from the process's own to the outermost; infinity
        where there is none.
    """
    try:
        lines = memberships.read_text().splitlines()
    except OSError:  # not Linux
        return float("inf")
    limits = (limit for line in lines for limit in _limits(line, control))
    return min(limits, default=float("inf"))


def _limits(line: str, control: Path) -> Iterator[float]:
    """Limits of one control group and all around it; `line` is "number:controllers:path"."""
    _, controllers, path = line.split(":", 2)
    own = PurePosixPath(path)
    for group in (own, *own.parents):
        inside = str(group).lstrip("/")
        if not controllers:
            found = _numbers(control / inside / "cpu.max")
        elif "cpu" in controllers.split(","):
            folder = control / "cpu" / inside
            found = _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us")
        else:
            return
        if len(found) == 2 and min(found) > 0:
            yield found[0] / found[1]


def _numbers(path: Path) -> list[int]:
    """Whole numbers in a file; none where it does not exist. "max" and -1 mean no limit."""
    try:
        return [int(word) for word in path.read_text().replace("max", "-1").split()]
    except OSError:
        return []


def worker_threads(environment: Mapping[str, str] = os.environ) -> int:
    """Threads for work that is not timed, at least 1.

    OMP_NUM_THREADS says it where it is set, as `torchrun` does for each of its processes;
    otherwise the available cores are shared with the processes that `accelerate launch` started
    beside this one (LOCAL_WORLD_SIZE).
    """
    asked = environment.get("OMP_NUM_THREADS", "").split(",")[0]  # one number per level of nesting
    if asked.isdecimal() and int(asked):
        return int(asked)
    beside = environment.get("LOCAL_WORLD_SIZE", "")
    return max(1, available_cores() // (int(beside) if beside.isdecimal() and int(beside) else 1))


def set_up_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set what PyTorch, numpy and scipy read about threads when they are first imported.

    What the user has set stands. To be called before numpy is imported, by a program that is
    decig's own; a program that uses decig as a library decides for itself.
    """
    environment.setdefault("OMP_NUM_THREADS", str(worker_threads(environment)))
    environment.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "OMP_WAIT_POLICY" not in environment:
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
        environment.setdefault("GOMP_SPINCOUNT", _SPINS)
