"""How every test runs: threads, numbers and random examples alike; and fixtures for all.

The lines between imports and fixtures run before the first test module is imported.
"""

import functools
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from decig.device.run.threads import set_up_threads

# One thread each for ONNX Runtime, PyTorch and numpy unless the caller says otherwise: tests use
# small graphs, and two threads wait for each other where another program holds a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
set_up_threads()

# Examples are the same in every run, and a slow machine is no failure.
hypothesis.settings.register_profile(
    "decig", derandomize=True, deadline=None, database=None, print_blob=True
)
hypothesis.settings.load_profile("decig")

NEEDED = {
    "api/test_compression.py": ("torch",),
    "api/test_training.py": ("torch",),
    "benchmarks/test_ablation.py": ("torch",),
    "benchmarks/test_main_job.py": ("torch", "torch_pruning"),
    "benchmarks/test_frozen.py": ("torch",),
    "benchmarks/test_from_scratch.py": ("torch",),
    "benchmarks/test_family.py": ("torch",),
    "benchmarks/test_methods.py": ("torch",),
    "benchmarks/test_on_gpu.py": ("torch",),
    "benchmarks/test_overhead.py": ("torch",),
    "benchmarks/test_peers.py": ("torch",),
    "benchmarks/test_pictures.py": ("torch",),
    "benchmarks/test_rivals.py": ("torch",),
    "benchmarks/test_scale.py": ("torch",),
    "benchmarks/test_settings.py": ("torch",),
    "benchmarks/test_side_by_side.py": ("torch",),
    "benchmarks/test_stage_cost.py": ("torch",),
    "benchmarks/test_style.py": ("torch",),
    "benchmarks/test_unpaired.py": ("torch",),
    "cli/test_halves.py": ("torch",),
    "cli/test_repeating.py": ("torch",),
    "cli/test_resuming.py": ("torch",),
    "cli/test_train.py": ("torch",),
    "docs/test_formats.py": ("torch", "jsonschema"),
    "docs/test_blocks.py": ("jsonschema",),
    "test_checkpoints.py": ("torch",),
    "test_models.py": ("torch",),
    "training": ("torch",),
}
"""Files and folders whose imports need more than decig itself, and what they need. Single tests
that need PyTorch carry the marker `train`."""


def _missing(packages: tuple[str, ...]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


collect_ignore = [path for path, packages in NEEDED.items() if _missing(packages)]


def pytest_report_header() -> list[str]:
    """Say what is left out, and why."""
    return [
        f"left out: tests/{path}, which needs {', '.join(_missing(NEEDED[path]))}"
        for path in collect_ignore
    ]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip single tests that need PyTorch where it is not installed."""
    if item.get_closest_marker("train") and _missing(("torch",)):
        pytest.skip("needs PyTorch: pip install 'decig[train]'")


SHARED = Path(__file__).resolve().parents[2] / "shared"


def _flush_denormals() -> None:
    """Let this thread count denormals as zero, as it does in every process of decig's commands.

    ONNX Runtime sets that by the first session of a process, so the first test would decide.
    """
    from decig.device.run.device import Device
    from tests.samples import generator

    Device.of().open(generator())


_flush_denormals()


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the shared folder {name}/ is not beside this checkout")
    return folder


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests away from the user's cache folder, and its times away from tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_pauses() -> Iterator[None]:
    """Measure again at once where decig would first wait for other programs to end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("decig.device.plan.bench.PAUSE_SECONDS", 0.0)
        yield


@pytest.fixture(autouse=True, scope="session")
def _exporter_reads_its_operators_once() -> Iterator[None]:
    """Keep what PyTorch's exporter knows of operators from one export to the next.

    It parses the source of 500 functions at every export, which is half of what a small one
    takes, and has no public way to hand them over.
    """
    if "torch" not in sys.modules:
        yield
        return
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        once = staticmethod(functools.cache(ONNXRegistry.from_torchlib))
        patch.setattr(ONNXRegistry, "from_torchlib", once)
        yield


@pytest.fixture(scope="session")
def shared_suite() -> Path:
    """Folder of real ONNX generators made by others."""
    return _shared("suite")


@pytest.fixture(scope="session")
def shared_checkpoints() -> Path:
    """Folder of key names, shapes and outputs of the reference implementations' nets."""
    return _shared("checkpoints")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images: facades/ and photos/."""
    return _shared("data")
