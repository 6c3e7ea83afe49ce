"""Run a decig command until its first training step, and write down where its time went.

python -m parts.phases PHASES.json compress MODEL --data ...

A second thread looks at what the first one does, again and again; the time since its last look goes
to the phase of the innermost function that belongs to one. The command ends when its first step of
training begins.
"""

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

STARTED = "DECIG_BENCHMARK_STARTED"
"""Variable of the environment: when the process was started, in seconds since 1970."""
START, OTHER = "start of Python", "everything else"
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Phase:
    """What is done between the start of a command and its first training step.

    Attributes:
        name: in tables.
        place: end of the path of a file, or part of the path, below the package.
        functions: those of its functions that count; all if empty.
    """

    name: str
    place: str
    functions: tuple[str, ...] = ()

    def holds(self, frame: FrameType) -> bool:
        """Whether a frame is one of the phase's functions."""
        code = frame.f_code
        return self.place in code.co_filename and (
            not self.functions or code.co_name in self.functions
        )


PHASES = (
    Phase("imports", "<frozen importlib._bootstrap>"),
    Phase("reading the model", "/decig/source/", ("_resolve",)),
    Phase("reading the model", "/decig/training/pytorch/load.py"),
    Phase("reading the table", "/decig/device/cost/table.py", ("load",)),
    Phase("proof of the module", "/decig/training/trainable/parity.py"),
    Phase("reading images", "/decig/training/data/examples.py", ("_read",)),
    Phase("measuring", "/decig/device/plan/bench.py"),
    Phase("scoring", "/decig/repair/scores.py"),
    Phase("planning", "/decig/device/plan/"),
    Phase("planning", "/decig/device/cost/predict.py"),
    Phase("repair", "/decig/repair/repair.py"),
    Phase("judging", "/decig/training/compression/judge.py"),
    Phase("building the student", "/decig/training/compression/student.py", ("student_task",)),
    Phase("building the engine", "/decig/training/loop/engine.py", ("__init__",)),
)
"""In the order in which they come; the first one that holds a frame counts."""
NAMES = tuple(dict.fromkeys([START, *(phase.name for phase in PHASES), OTHER]))


def phase_of(frame: FrameType | None) -> str:
    """Name of the phase of the innermost function that belongs to one."""
    while frame is not None:
        for phase in PHASES:
            if phase.holds(frame):
                return phase.name
        frame = frame.f_back
    return OTHER


class Watch:
    """Looks at what the main thread does."""

    def __init__(self, started: float) -> None:
        """Prepare; `started` is the time at which the process was started."""
        self.seconds = dict.fromkeys(NAMES, 0.0)
        self._last = time.time()
        self.seconds[START] = self._last - started
        self._main = threading.main_thread().ident
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._look_on, daemon=True).start()

    def stop(self) -> dict[str, float]:
        """End it; returns the seconds of every phase."""
        self._ended.set()
        self._look()
        return {name: round(seconds, 3) for name, seconds in self.seconds.items()}

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_EVERY_S):
            self._look()

    def _look(self) -> None:
        frame = sys._current_frames().get(self._main or 0)
        now = time.time()
        self.seconds[phase_of(frame)] += now - self._last
        self._last = now


def main() -> None:
    """Run the command whose arguments stand behind the name of the file."""
    watch = Watch(float(os.environ.get(STARTED, time.time())))
    watch.start()
    file, *arguments = sys.argv[1:]
    from decig.cli.main import main as program
    from decig.files import write_json
    from decig.training.loop.engine import Engine

    def first_step(*_: object) -> None:
        write_json(Path(file), watch.stop())
        sys.stdout.flush()
        os._exit(0)

    Engine._update = first_step  # type: ignore[assignment, method-assign]
    try:
        program(arguments)
    except SystemExit as ended:
        sys.exit(ended.code or "the command ended before a step of training")


if __name__ == "__main__":
    main()
