"""Runs of a benchmark as processes of their own: logged, at most a few at once, not repeated."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from decig.errors import DecigError
from decig.files import write_json
from decig.schema import read_json

BENCHMARKS = Path(__file__).resolve().parent
SHARED = BENCHMARKS.parents[1] / "shared"
"""Graphs and pictures of other people, beside the checkout."""
DECIG: tuple[str, ...] = (sys.executable, "-m", "decig")
"""The command `decig` of the Python that runs the benchmark."""
Command = list[str | Path]
"""A program and its arguments."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_DONE, _BEGUN, _FAILED = "done.json", "begun.json", "failed.json"
_NOTE_EVERY_S = 10.0
"""Seconds between two notes of how long a process has run, for whoever goes on after a kill."""

_SAID = 300
"""Characters of a log's last line that a message about a failed process shows."""


@dataclass(frozen=True)
class Job:
    """One process and the folder that it fills.

    Attributes:
        name: in messages.
        folder: emptied before the process starts; afterwards holds log.txt, and done.json or
            failed.json.
        command: program and arguments; runs in benchmarks/, so that `-m competitors.x` is found.
        asked: what defines the run; one that was asked for something else is repeated.
        resume: program and arguments that go on with a run that was stopped; none starts again.
        state: file that is there once the run can go on.
        threads: variables of the environment that limit its threads; one thread by default.
        limit_s: seconds after which the process is killed; None lets it run.
    """

    name: str
    folder: Path
    command: Sequence[str | Path]
    asked: dict[str, Any] = field(default_factory=dict)
    resume: Sequence[str | Path] = ()
    state: Path | None = None
    threads: Mapping[str, str] = field(default_factory=lambda: ONE_THREAD)
    limit_s: float | None = None

    @property
    def done(self) -> bool:
        """Whether this very run has ended well before."""
        file = self.folder / _DONE
        return file.exists() and _read(file)["asked"] == self.asked

    @property
    def stopped(self) -> bool:
        """Whether this very run was stopped before its end, and can go on."""
        begun = self.folder / _BEGUN
        known = begun.exists() and not (self.folder / _DONE).exists()
        there = self.state is not None and self.state.exists()
        return bool(self.resume) and known and there and _read(begun)["asked"] == self.asked

    def figures(self) -> dict[str, Any]:
        """Wall and CPU seconds of the finished process.

        Seconds of a process that was killed count as wall seconds, but not as CPU seconds.
        """
        return _read(self.folder / _DONE)

    def run(self) -> None:
        """Run the process to its end, or go on with one that was stopped.

        Raises:
            DecigError: it failed; names the log.
        """
        command, earlier_s = self.command, 0.0
        if self.stopped:
            command, earlier_s = self.resume, _read(self.folder / _BEGUN)["wall_s"]
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
        (self.folder / _FAILED).unlink(missing_ok=True)
        log = self.folder / "log.txt"
        started = time.monotonic() - earlier_s

        def note() -> dict[str, Any]:
            return {"asked": self.asked, "wall_s": round(time.monotonic() - started, 1)}

        with log.open("a", encoding="utf-8") as output, _noting(self.folder / _BEGUN, note):
            process = subprocess.Popen(
                [str(part) for part in command],
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=BENCHMARKS,
                env=os.environ | self.threads,
            )
            with _killed_after(process, self.limit_s):
                _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            last = f" ({said[-1][:_SAID]})" if said else ""
            error = f"{self.name} ended with exit code {process.returncode}{last}"
            write_json(self.folder / _FAILED, {"error": error})
            raise DecigError(f"{error}; see {log}")
        cpu_s = round(usage.ru_utime + usage.ru_stime, 1)
        write_json(self.folder / _DONE, note() | {"cpu_s": cpu_s})


@contextlib.contextmanager
def _noting(file: Path, note: Any) -> Iterator[None]:
    """Write a note at once and then again and again while the block runs."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(_NOTE_EVERY_S):
            write_json(file, note())

    write_json(file, note())
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextlib.contextmanager
def _killed_after(process: subprocess.Popen[bytes], limit_s: float | None) -> Iterator[None]:
    """Kill a process that is not at its end after some seconds."""
    if limit_s is None:
        yield
        return
    timer = threading.Timer(max(0.0, limit_s), process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


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


def finish(what: str, jobs: Sequence[Job], at_once: int) -> None:
    """Say how many of a part's runs are done, and run the others; errors as for `run_all`."""
    print(f"== {what}: {sum(job.done for job in jobs)} of {len(jobs)} done before", flush=True)
    run_all(jobs, at_once)


def attempt(what: str, jobs: Sequence[Job], at_once: int) -> list[str]:
    """As `finish`, but what went wrong is returned, one line at most, so that others go on."""
    try:
        finish(what, jobs, at_once)
    except DecigError as error:
        return [f"{what}: {error}"]
    return []


def failure_in(folder: Path) -> str | None:
    """Why the run of a folder failed when it was last tried; None where it did not."""
    file = folder / _FAILED
    return str(_read(file)["error"]) if file.exists() else None


def said(*command: str | Path) -> str:
    """What a program that uses one thread prints.

    Raises:
        DecigError: it failed; holds what it said.
    """
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, capture_output=True, text=True, env=os.environ | ONE_THREAD)
    if done.returncode:
        reason = done.stderr.strip() or done.stdout.strip()
        raise DecigError(f"{' '.join(arguments)} ended with exit code {done.returncode}: {reason}")
    return done.stdout


def digest(file: Path) -> str:
    """SHA-256 of a file, for `Job.asked`."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _run(job: Job) -> None:
    word = "goes on" if job.stopped else "started"
    print(f"{job.name}: {word}, log in {job.folder / 'log.txt'}", flush=True)
    job.run()
    figures = job.figures()
    print(f"{job.name}: done in {figures['wall_s']:.0f} s", flush=True)


def _read(file: Path) -> dict[str, Any]:
    return read_json(file, dict[str, Any], "record of a run")
