import numpy as np
import onnx
import pytest

from decig.device.plan.target import Target
from decig.errors import TargetMissedError
from decig.graph.channels import analyse
from decig.graph.model import initializers, load_model, replace_initializers
from decig.graph.plan import FLOOR
from decig.training.narrowing.hinge_cut import cut_condensed
from tests.training.small import total_ms, work_table
from tests.training.tiny import tiny_generator

LIVE = 6


@pytest.fixture(scope="module")
def condensed(tmp_path_factory):
    """A generator nobody reads most channels of; those that live are scattered in their group."""
    proto = tiny_generator(size=48, width=16)
    weights, order = initializers(proto), np.random.default_rng(0).permutation(16)
    dead = {}
    for binding in (channels := analyse(proto)).bindings:
        if binding.role == "read" and channels.classes_of(binding.ids).any():
            axis = int(np.argmax(binding.ids.shape))
            value = dead.setdefault(binding.initializer, weights[binding.initializer].copy())
            np.moveaxis(value, axis, 0)[order[LIVE:]] = 0
    replace_initializers(proto, dead)
    path = tmp_path_factory.mktemp("condensed") / "model.onnx"
    onnx.save(proto, path)
    return load_model(path), sorted(order[:LIVE].tolist())


def test_the_hinge_keeps_what_is_read(condensed):
    model, live = condensed
    found = cut_condensed(model, Target(work_table(model)), None)
    for name, kept in found.plan.keep.items():
        assert found.hinges[name] is not None and FLOOR <= found.hinges[name] <= LIVE
        assert (len(kept) >= found.hinges[name] and set(kept) <= set(live)) or set(live) <= set(
            kept
        )
    assert any(len(kept) < 16 for kept in found.plan.keep.values())
    record = found.record()
    for group in found.channels.prunable:
        curve = record[group.name]
        assert curve["magnitudes"][LIVE:] == [0.0] * (16 - LIVE)
        assert curve["channels"] == {"before": 16, "after": found.widths[group.name]}


def test_a_latency_is_met_by_what_is_read_least(condensed):
    model, live = condensed
    table = work_table(model)
    target_ms = table.as_it_is_ms / 3
    found = cut_condensed(model, Target(table), target_ms)
    assert total_ms(found.sliced.proto) <= target_ms * 1.02
    for kept in found.plan.keep.values():
        assert set(kept) <= set(live) or set(live) <= set(kept)


def test_a_latency_out_of_reach_is_refused(condensed):
    model, _ = condensed
    with pytest.raises(TargetMissedError):
        cut_condensed(model, Target(work_table(model)), 1e-6)
