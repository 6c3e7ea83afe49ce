"""The target of a compression: whose table it takes, and the widths it finds for a latency."""

from dataclasses import replace

import pytest

from decig.device.cost.predict import Predictor
from decig.device.cost.table import Noise
from decig.device.plan.planner import fastest_widths
from decig.device.plan.target import Target
from decig.device.run import device as device_module
from decig.device.run.timing import missed
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


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_what_the_table_doubts_is_measured_at_the_narrowest(table, factor):
    """Where plans can be measured, a latency that is only predicted to be missed is measured."""
    device = Device(table, factor)
    widths = fastest_widths(device.predictor, device.predictor.groups)
    least = device.predictor.predict_ms(widths)
    target = Target(table, FakeBench(device.measure))
    target.require_reachable(least, lambda widths: widths)
    assert not device.measured  # the table does not doubt it
    if factor < 1:
        target.require_reachable(least * 0.9, lambda widths: widths)
        assert device.measured == [widths]
        return
    with pytest.raises(TargetMissedError, match=f"takes {1.2 * least:.4g} ms .* as measured"):
        target.require_reachable(least * 0.9, lambda widths: widths)
    assert device.measured == [widths] * 3  # as something may have disturbed it


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


@pytest.mark.parametrize("learns", [True, False])
@pytest.mark.parametrize("kept", [0.5, 0.6])
def test_a_graph_that_has_lost_channels_is_planned_as_it_is(table, learns, kept):
    """No plan has channels that the graph lacks: what is predicted is what is measured."""
    most = {name: round(full * kept) for name, full in GROUPS.items()}
    curves = {name: curve[: most[name] + 1] for name, curve in losses(0).items()}
    device = Device(table, 1.0)
    bench = FakeBench(device.measure, device.profile if learns else None)
    target_ms = 0.95 * device.predictor.predict_ms(most)
    target = Target(table, bench)
    met = target.plan(curves, target_ms, lambda widths: widths, tell=device.told.append)
    assert device.measured
    for widths in (met.widths, *device.measured):
        assert all(widths[name] <= most[name] for name in most)
    assert met.measured_ms <= 1.01 * target_ms
    loose = target.plan(curves, 2 * target_ms, lambda widths: widths, tell=device.told.append)
    assert loose.widths == most


@pytest.mark.parametrize(
    ("times", "found", "pauses"),
    [
        ([9.0], 9.0, 0),
        ([10.05], 10.05, 0),  # over by no more than noise
        ([11.0, 8.0], 9.5, 1),
        ([11.0, 12.0, 8.0], 11.0, 2),
        ([13.0, 8.0, 9.0], 9.0, 2),
    ],
)
def test_a_graph_that_misses_is_measured_again(table, times, found, pauses):
    left, waited = list(times), []

    class Slow(FakeBench):
        def pause(self):
            waited.append(1)

    target = Target(table, Slow(lambda proto: left.pop(0)))
    assert target.measure_again(None, 10.0) == pytest.approx(found)
    assert (len(waited), left) == (pauses, [])
    assert missed(found, 10.0) is (found == 11.0)


def test_what_no_latency_was_asked_for_is_measured_once(table):
    assert Target(table, FakeBench(lambda proto: 99.0)).measure_again(None, None) == 99.0
    assert not missed(99.0, None)
    assert Target(table).measure_again(None, 1.0) is None


def test_force_changes_nothing_on_the_tables_own_device(profiled_table, profiled_model):
    for force in (False, True):
        target = Target.of(profiled_table, profiled_model, force=force)
        assert target.bench is not None
        assert target.warnings == ()


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
    assert "fold_batchnorm" in target.rewrites(profiled_model.proto)
    assert replace(target, bench=None).rewrites(profiled_model.proto) == profiled_table.rewrites
    assert target.as_it_is_ms > 0


def test_a_process_with_fewer_cores_than_the_tables_threads_says_so(
    profiled_table, profiled_model, monkeypatch
):
    table = replace(profiled_table, device=replace(profiled_table.device, threads=2))
    monkeypatch.setattr("decig.device.plan.target.available_cores", lambda: 1)
    monkeypatch.setattr(device_module.Device, "elsewhere", lambda _: None)
    found = Target.of(table, profiled_model, force=False)
    assert "taken on 2 cores, and this process has 1 for itself" in found.warnings[-1]
    monkeypatch.setattr("decig.device.plan.target.available_cores", lambda: 2)
    assert Target.of(table, profiled_model, force=False).warnings == found.warnings[:-1]


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
