from pathlib import Path

import numpy as np
import onnx
import pytest

from decig.device.cost.macs import MACS_PER_MS, MacsPredictor
from decig.device.plan.compute import MacsTarget
from decig.errors import TargetMissedError
from decig.graph.channels import analyse
from decig.graph.cost import count
from decig.graph.model import load_model, normalise
from decig.graph.plan import plan_from_widths
from decig.graph.scoring import magnitude_scores
from decig.graph.slicing import slice_graph
from tests.samples import generator
from tests.training.tiny import tiny_generator


def sliced_macs(proto: onnx.ModelProto, widths: dict[str, int]) -> int:
    channels = analyse(proto)
    plan = plan_from_widths(channels, widths, magnitude_scores(proto, channels), "")
    return count(slice_graph(proto, channels, plan)).macs


@pytest.mark.parametrize("make", [tiny_generator, generator])
def test_it_counts_what_a_sliced_graph_has(make) -> None:
    proto = normalise(make(width=24))
    predictor = MacsPredictor(proto, analyse(proto))
    rng = np.random.default_rng(0)
    for _ in range(6):
        widths = {name: int(rng.integers(1, full + 1)) for name, full in predictor.groups.items()}
        found = predictor.predict_ms(widths) * MACS_PER_MS
        assert found == pytest.approx(sliced_macs(proto, widths), rel=1e-9)
    assert predictor.predict_ms({}) * MACS_PER_MS == pytest.approx(count(proto).macs)


def test_its_terms_add_up() -> None:
    proto = normalise(tiny_generator(width=24))
    predictor = MacsPredictor(proto, analyse(proto))
    rng = np.random.default_rng(0)
    plans = rng.integers(4, 25, (5, len(predictor.groups)))
    summed = sum(term.us(plans[:, list(term.groups)]) for term in predictor.terms())
    assert summed == pytest.approx(predictor.predict_many(plans))


def test_widths_are_planned_for_a_number_of_them(tmp_path: Path) -> None:
    onnx.save(tiny_generator(size=48, width=24), tmp_path / "model.onnx")
    model = load_model(tmp_path / "model.onnx")
    target = MacsTarget(model, analyse(model.proto))
    loss = {name: np.linspace(1, 0, full + 1) for name, full in target.predictor.groups.items()}
    told: list[dict[str, float]] = []
    met = target.plan(loss, target.as_it_is_ms / 3, lambda _: model.proto, tell=told.append)
    found = sliced_macs(model.proto, dict(met.widths))
    assert 0.8 * count(model.proto).macs / 3 < found <= count(model.proto).macs / 3
    assert told == [{"predicted_macs": pytest.approx(found)}]
    assert target.record(2.0) == {"target_macs": 2 * MACS_PER_MS}


def test_what_the_narrowest_widths_do_not_reach_is_refused(tmp_path: Path) -> None:
    onnx.save(tiny_generator(size=48, width=24), tmp_path / "model.onnx")
    model = load_model(tmp_path / "model.onnx")
    target = MacsTarget(model, analyse(model.proto))
    target.require_reachable(target.as_it_is_ms / 2)
    with pytest.raises(TargetMissedError, match=r"target of 0\.00100 MMACs .* is out of reach"):
        target.require_reachable(1e-3)
