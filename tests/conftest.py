"""Fixtures that every test may use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def _shared(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the shared folder {name}/ is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def shared_suite() -> Path:
    """Folder of real ONNX generators made by others."""
    return _shared("suite")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images: facades/ and photos/."""
    return _shared("data")
