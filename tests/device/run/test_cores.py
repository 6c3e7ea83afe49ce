import os
import subprocess
import sys

import pytest

from decig.device.run import cores
from decig.device.run.cores import available_cores


@pytest.fixture
def groups(monkeypatch, tmp_path):
    """Control groups in a folder of our own; eight cores without them."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cores, "GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "MOUNT", tmp_path / "fs")

    def write(lines: str, **files: str) -> None:
        (tmp_path / "cgroup").write_text(lines)
        for name, text in files.items():
            path = tmp_path / "fs" / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def test_this_machine():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)


def test_no_control_groups(groups):
    assert available_cores() == 8


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000\n", 8), ("150000 100000\n", 2), ("20000 100000\n", 1)]
)
def test_the_quota_of_version_2(groups, quota, cores):
    groups("0::/box\n", box__cpu_dot_max=quota)
    assert available_cores() == cores


def test_the_quota_of_a_group_around_it_counts_too(groups):
    groups("0::/outer/inner\n", outer__cpu_dot_max="300000 100000", outer__inner__x="")
    assert available_cores() == 3


@pytest.mark.parametrize(("quota", "cores"), [("-1\n", 8), ("400000\n", 4)])
def test_the_quota_of_version_1(groups, quota, cores):
    groups(
        "4:memory:/box\n3:cpu,cpuacct:/box\n",
        **{"cpu__box__cpu_dot_cfs_quota_us": quota, "cpu__box__cpu_dot_cfs_period_us": "100000\n"},
    )
    assert available_cores() == cores


def test_names_of_groups_beyond_ascii_in_any_locale(groups):
    """A Python that expects ASCII files, as in a container without a locale."""
    name = "b\u00f6x"
    groups("", **{f"{name}__cpu_dot_max": "300000 100000"})
    cores.GROUPS.write_text(f"0::/{name}\n", encoding="utf-8")
    program = (
        "import sys; from pathlib import Path; from decig.device.run import cores;"
        "cores.GROUPS, cores.MOUNT = map(Path, sys.argv[1:]);"
        "print(list(cores._quotas()))"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", program, str(cores.GROUPS), str(cores.MOUNT)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[3.0]", result.stderr


def test_a_damaged_file_says_nothing(groups):
    groups("0::/\n", cpu_dot_max="many")
    assert available_cores() == 8
