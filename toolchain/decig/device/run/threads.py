"""How many threads compute, and how they wait, wherever no latency is measured.

A latency belongs to the number of threads that its device was given. Everything else (scores,
repair, training, runs on images) takes the cores that this process may use.

OpenMP (PyTorch) and OpenBLAS (numpy, scipy) split an operation into equal parts, and the threads
that are done wait for the last one. By default they spin while they wait. Where another program
holds one of the cores, the last part waits for that core, operation after operation, and the
spinning threads keep it waiting longer. `benchmarks/threads.py` measures that, alone and beside a
busy program. So OpenMP's threads spin for some microseconds only and sleep then, which costs
little where the cores are free, and OpenBLAS, which can only spin, gets one thread. ONNX Runtime
hands out small parts to whichever thread is free; all available cores are right for it. So does
`side_by_side`, for work of NumPy that is worth it.
"""

import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from decig.device.run.cores import available_cores

Part = TypeVar("Part")
Made = TypeVar("Made")

_SPINS = "1000"
"""Turns of a loop for which a waiting thread of GNU's OpenMP spins before it sleeps. 0 makes small
steps a quarter slower on free cores; 10,000 makes them ten times slower beside a busy program."""


def worker_threads(environment: Mapping[str, str] = os.environ) -> int:
    """Threads for work that is not timed: at least 1, at most the available cores.

    OMP_NUM_THREADS says it where it is set, as `torchrun` does for each of its processes;
    otherwise the available cores are shared with the processes that `accelerate launch` started
    beside this one (LOCAL_WORLD_SIZE).
    """
    asked = environment.get("OMP_NUM_THREADS", "").split(",")[0]  # one number per level of nesting
    if asked.isdecimal() and int(asked):
        return min(int(asked), available_cores())
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


def side_by_side(function: Callable[[Part], Made], parts: Iterable[Part]) -> list[Made]:
    """What a function makes of every part, in order; the parts are computed several at a time.

    NumPy lets other threads run while it multiplies, gathers or sums. Where sums are to be the same
    on every machine, the parts must be, too, however many threads there are.
    """
    with ThreadPoolExecutor(worker_threads()) as pool:
        return list(pool.map(function, parts))
