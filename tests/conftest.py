"""Fixtures that every test may use."""

from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


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


@pytest.fixture(scope="session")
def shared_suite() -> Path:
    """Folder of real ONNX generators made by others."""
    return _shared("suite")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images: facades/ and photos/."""
    return _shared("data")
