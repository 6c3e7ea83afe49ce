import os
import subprocess
import sys
from pathlib import Path

import pytest

from decig.device.run.threads import available_cores, cpu_quota, set_up_threads, worker_threads

NO_LIMIT = float("inf")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def quota(folder: Path, memberships: str) -> float:
    write(folder / "memberships", memberships)
    return cpu_quota(folder / "memberships", folder / "control")


def test_the_affinity_of_the_process_is_respected() -> None:
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, mine)
    assert 1 <= available_cores() <= len(mine)


def test_a_group_of_version_2_limits_what_is_inside_of_it(tmp_path: Path) -> None:
    write(tmp_path / "control/box/inner/cpu.max", "max 100000\n")
    write(tmp_path / "control/box/cpu.max", "250000 100000\n")
    assert quota(tmp_path, "0::/box/inner\n") == 2.5
    write(tmp_path / "control/box/inner/cpu.max", "150000 100000\n")
    assert quota(tmp_path, "0::/box/inner\n") == 1.5
    assert quota(tmp_path, "0::/elsewhere\n") == NO_LIMIT


def test_a_container_sees_its_own_group_as_the_outermost(tmp_path: Path) -> None:
    write(tmp_path / "control/cpu.max", "50000 100000\n")
    assert quota(tmp_path, "0::/\n") == 0.5


@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct"])
def test_groups_of_version_1(tmp_path: Path, controllers: str) -> None:
    write(tmp_path / "control/cpu/box/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "control/cpu/box/cpu.cfs_quota_us", "400000\n")
    lines = f"5:memory:/other\n4:cpuset:/\n3:{controllers}:/box\n"
    assert quota(tmp_path, lines) == 4
    write(tmp_path / "control/cpu/box/cpu.cfs_quota_us", "-1\n")
    assert quota(tmp_path, lines) == NO_LIMIT


def test_a_path_that_only_the_host_can_see(tmp_path: Path) -> None:
    write(tmp_path / "control/cpu/cpu.cfs_period_us", "100000\n")
    write(tmp_path / "control/cpu/cpu.cfs_quota_us", "200000\n")
    assert quota(tmp_path, "3:cpu:/docker/0123abc\n") == 2


def test_where_there_are_no_groups(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "absent", tmp_path) == NO_LIMIT
    assert quota(tmp_path, "") == NO_LIMIT


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({}, available_cores()),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"OMP_NUM_THREADS": "many"}, available_cores()),
        ({"OMP_NUM_THREADS": "0"}, available_cores()),
        ({"LOCAL_WORLD_SIZE": str(available_cores())}, 1),
        ({"LOCAL_WORLD_SIZE": str(5 * available_cores())}, 1),
        ({"LOCAL_WORLD_SIZE": "1"}, available_cores()),
    ],
)
def test_threads_of_work_that_is_not_timed(environment: dict[str, str], threads: int) -> None:
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
