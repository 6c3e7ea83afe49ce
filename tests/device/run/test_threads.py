import os
import subprocess
import sys
import threading

import pytest

from decig.device.run.cores import available_cores
from decig.device.run.threads import set_up_threads, side_by_side, worker_threads


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, 6),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "32"}, 6),
        ({"OMP_NUM_THREADS": "many"}, 6),
        ({"OMP_NUM_THREADS": "0"}, 6),
        ({"LOCAL_WORLD_SIZE": "1"}, 6),
        ({"LOCAL_WORLD_SIZE": "2"}, 3),
        ({"LOCAL_WORLD_SIZE": "7"}, 1),
    ],
)
def test_threads_of_work_that_is_not_timed(
    environment: dict[str, str], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("decig.device.run.threads.available_cores", lambda: 6)
    assert worker_threads(environment) == threads


def test_what_the_user_has_set_stands() -> None:
    own = {"OMP_NUM_THREADS": "3", "OMP_WAIT_POLICY": "ACTIVE", "OPENBLAS_NUM_THREADS": "2"}
    environment = dict(own)
    set_up_threads(environment)
    assert environment == own
    environment = {"GOMP_SPINCOUNT": "7"}
    set_up_threads(environment)
    assert environment["GOMP_SPINCOUNT"] == "7"


def test_the_rest_is_set() -> None:
    environment: dict[str, str] = {}
    set_up_threads(environment)
    assert environment == {
        "OMP_NUM_THREADS": str(available_cores()),
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "1000",
        "OPENBLAS_NUM_THREADS": "1",
    }


COMMAND = """
import os, sys
from decig.cli.main import main

assert "numpy" not in sys.modules, "imported before its threads are set"
try:
    main(["--version"])
finally:
    print(os.environ["OMP_WAIT_POLICY"], os.environ["OPENBLAS_NUM_THREADS"])
"""


def test_every_command_sets_its_threads_before_numpy_is_there() -> None:
    libraries = ("OMP_", "GOMP_", "OPENBLAS_")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(libraries)}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND], env=bare, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.endswith("PASSIVE 1\n"), done.stderr


def test_what_is_made_side_by_side_comes_in_the_order_of_the_parts() -> None:
    assert side_by_side(lambda part: part**2, range(20)) == [part**2 for part in range(20)]
    assert side_by_side(len, []) == []


def test_several_parts_are_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("decig.device.run.threads.worker_threads", lambda: 2)
    meeting = threading.Barrier(2)
    assert sorted(side_by_side(lambda _: meeting.wait(timeout=60), range(2))) == [0, 1]


def test_an_error_in_a_part_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda part: 1 / part, [1, 0])
