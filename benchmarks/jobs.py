"""Runs of a benchmark as processes of their own: logged, at most a few at once, not repeated."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decig.errors import DecigError
from decig.files import write_json
from decig.schema import read_json

BENCHMARKS = Path(__file__).resolve().parent
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Job:
    """One process and the folder that it fills.

    Attributes:
        name: in messages.
        folder: emptied before the process starts; afterwards holds log.txt and done.json.
        command: program and arguments; runs in benchmarks/, so that `-m peers.training` is found.
        asked: what defines the run; one that was asked for something else is repeated.
    """

    name: str
    folder: Path
    command: Sequence[str | Path]
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether this very run has ended well before."""
        file = self.folder / "done.json"
        return (
            file.exists() and read_json(file, dict[str, Any], "finished run")["asked"] == self.asked
        )

    def figures(self) -> dict[str, Any]:
        """Wall and CPU seconds of the finished process."""
        return read_json(self.folder / "done.json", dict[str, Any], "finished run")

    def run(self) -> None:
        """Run the process to its end, on one thread.

        Raises:
            DecigError: it failed; names the log.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        log = self.folder / "log.txt"
        started = time.monotonic()
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                [str(part) for part in self.command],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=BENCHMARKS,
                env=os.environ | _ONE_THREAD,
            )
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise DecigError(f"{self.name} ended with exit code {process.returncode}; see {log}")
        figures = {
            "asked": self.asked,
            "wall_s": round(time.monotonic() - started, 1),
            "cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        }
        write_json(self.folder / "done.json", figures)


def run_all(jobs: Sequence[Job], at_once: int) -> None:
    """Run what is not done yet, `at_once` processes beside each other.

    Raises:
        DecigError: runs failed; the others were finished first.
    """
    left = [job for job in jobs if not job.done]
    with ThreadPoolExecutor(at_once) as executor:
        futures = [executor.submit(_run, job) for job in left]
        try:
            failures = [str(e) for future in futures if (e := future.exception())]
        except KeyboardInterrupt:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    if failures:
        raise DecigError("; ".join(failures))


def _run(job: Job) -> None:
    print(f"{job.name}: started, log in {job.folder / 'log.txt'}", flush=True)
    job.run()
    figures = job.figures()
    print(f"{job.name}: done in {figures['wall_s']:.0f} s", flush=True)
