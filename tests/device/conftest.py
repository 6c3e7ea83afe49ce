"""A cost table that the tests of all floors share: taking one needs seconds."""

from dataclasses import replace

import pytest

from decig.device.cost.deployed import profile_as_deployed
from decig.device.cost.table import CostTable, Noise
from decig.device.run.device import Device
from decig.graph.model import Model, load_model
from tests.samples import write_generator


@pytest.fixture(scope="session")
def profiled_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A small generator."""
    return load_model(write_generator(tmp_path_factory.mktemp("model") / "m.onnx"))


@pytest.fixture(scope="session")
def profiled_table(profiled_model: Model) -> CostTable:
    """Its cost table, taken here, as from a quiet machine."""
    steps: list[int] = []
    table = profile_as_deployed(profiled_model, Device.of(), lambda done, total: steps.append(done))
    assert steps == sorted(steps)
    return replace(table, noise=Noise(1.0, 0.0))
