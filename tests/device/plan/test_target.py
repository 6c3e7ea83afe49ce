"""The target of a compression: whose table it takes, and the widths it finds for a latency."""

from dataclasses import replace

import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.table import Noise
from decig.device.plan.learn import Learner
from decig.device.plan.planner import fastest_widths
from decig.device.plan.target import Target
from decig.errors import BadInputError, TargetMissedError
from tests.device.bench import FakeBench
from tests.device.plan.test_planner import losses
from tests.device.tables import GROUPS, make_table, true_nodes


@pytest.fixture(scope="module")
def table():
    return make_table()


class Device:
    """Takes `factor` times what is predicted; a graph is its widths here."""

    def __init__(self, table, factor: float) -> None:
        self.table, self.predictor, self.factor = table, Predictor(table), factor
        self.measured, self.profiled, self.told = [], [], []

    def measure(self, widths):
        self.measured.append(widths)
        return self.factor * self.predictor.predict_ms(widths)

    def profile(self, widths):
        self.profiled.append(widths)
        return true_nodes(widths)

    def plan(self, bench, target_ms, sliced=lambda widths: widths, **given):
        target = Target(self.table, bench)
        return target.plan(losses(0), target_ms, sliced, tell=self.told.append, **given)


def test_without_a_device_the_table_must_do(table):
    device = Device(table, 1.2)
    target = device.predictor.baseline_ms / 2
    met = device.plan(None, target)
    assert met.measured_ms is None
    assert device.told == [{"predicted_ms": device.predictor.predict_ms(met.widths)}]
    assert device.told[0]["predicted_ms"] <= target


def test_what_is_out_of_reach_is_told_before_anything_is_known(table):
    predictor = Predictor(table)
    least = predictor.predict_ms(fastest_widths(predictor, predictor.groups))
    predicted, measured = Target(table), Target(table, FakeBench(lambda _: pytest.fail("measured")))
    predicted.require_reachable(least)
    measured.require_reachable(least / 1.4)  # prediction may be wrong: the device decides
    for target, wanted in ((predicted, least * 0.99), (measured, least / 1.6)):
        with pytest.raises(TargetMissedError, match="out of reach: with every group at its narro"):
            target.require_reachable(wanted)
    with pytest.raises(BadInputError, match="no width sweep"):
        Target(replace(table, sweep=())).require_reachable(1.0)


@pytest.mark.parametrize("learns", [True, False])
def test_every_plan_that_is_tried_is_told(table, learns):
    device = Device(table, 1.2)
    target = device.predictor.baseline_ms / 2
    met = device.plan(FakeBench(device.measure, device.profile if learns else None), target)
    assert met.measured_ms <= 1.01 * target
    assert [each["measured_ms"] for each in device.told] == pytest.approx(
        [1.2 * device.predictor.predict_ms(widths) for widths in device.measured]
    )
    # A plan that is measured again, as it disagrees with its prediction, is profiled once.
    tried = [plan for i, plan in enumerate(device.measured) if plan not in device.measured[:i]]
    assert device.profiled == (tried if learns else [])


def test_what_a_narrower_graph_teaches_is_about_its_own_widths(table, monkeypatch):
    asked, learnt = [], []

    class Noted(Learner):
        def __call__(self, widths, measured_ms):
            learnt.append(widths)
            return super().__call__(widths, measured_ms)

    monkeypatch.setattr("decig.device.plan.target.Learner", Noted)
    most = {name: full // 2 for name, full in GROUPS.items()}

    def sliced(widths):
        asked.append(widths)
        return {name: min(width, most[name]) for name, width in widths.items()}

    device = Device(table, 1.0)
    bench = FakeBench(device.measure, device.profile)
    device.plan(bench, device.predictor.baseline_ms / 1.2, sliced, most=most)
    assert any(widths[name] > most[name] for widths in asked for name in most)
    assert all(widths[name] <= most[name] for widths in learnt for name in most)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"onnxruntime": "1.0"}, "onnxruntime is '1.0' there"),
        ({"cpu": "another"}, "cpu is 'another' there"),
        ({"provider": "OpenVINOExecutionProvider"}, "'openvino' is not in the installed"),
        ({"accelerator": "a GPU"}, "accelerator is 'a GPU' there"),
    ],
)
def test_a_table_of_another_device_is_refused_or_forced(
    profiled_table, profiled_model, caplog, entry, reason
):
    other = replace(profiled_table, device=replace(profiled_table.device, **entry))
    with pytest.raises(BadInputError, match=r"belongs to another device: .*--force") as caught:
        Target.of(other, profiled_model, force=False)
    assert reason in str(caught.value)
    forced = Target.of(other, profiled_model, force=True)
    (warning,) = forced.warnings
    assert reason in warning
    assert warning in caplog.text
    assert forced.bench is None


def test_a_table_of_this_device_is_taken(profiled_table, profiled_model):
    target = Target.of(profiled_table, profiled_model, force=False)
    assert target.warnings == ()
    assert target.bench is not None
    assert "fold_batchnorm" in target.rewrites
    assert target.as_it_is_ms > 0


def test_a_table_from_a_busy_machine_says_so(profiled_table, profiled_model, caplog):
    busy = replace(profiled_table, noise=Noise(0.55, 0.02))
    (warning,) = Target.of(busy, profiled_model, force=False).warnings
    assert "busy" in warning
    assert "55%" in warning
    assert warning in caplog.text
    assert not busy.to_dict()["noise"]["trusted"]
    assert replace(busy, noise=Noise(1.0, 0.02)).to_dict()["noise"]["trusted"]


def test_a_table_that_does_not_know_says_so(profiled_table, profiled_model, caplog):
    unsure = replace(profiled_table, noise=None)
    (warning,) = Target.of(unsure, profiled_model, force=False).warnings
    assert "did not note how busy the machine was" in warning
    assert warning in caplog.text
