from dataclasses import replace

import numpy as np
import onnx
import pytest

from decig.deploy.cutter import Cutter
from decig.device.cost.profile import EFFORTS, profile_model
from decig.device.plan.target import Target
from decig.device.run.device import Device
from decig.errors import BadInputError, DecigError
from decig.graph.cost import count
from decig.graph.model import initializers, replace_initializers
from decig.graph.plan import Plan
from decig.graph.slicing import slice_graph
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from tests.device.bench import FakeBench
from tests.samples import write_dynamic_generator, write_generator, write_photos

FLAGS = PixelFlags((0.0, 1.0), (0.0, 1.0), None, "rgb")


@pytest.fixture
def source(tmp_path):
    return resolve(str(write_generator(tmp_path / "m.onnx")), FLAGS)


def test_a_share_keeps_the_best_channels(source):
    cutter = Cutter(source)
    plan = cutter.keep(0.5)
    assert {name: len(kept) for name, kept in plan.plan.keep.items()} == {"conv1": 4, "conv2": 4}
    cut = cutter.cut(plan, verify=True)
    assert cut.max_abs_diff <= 1e-4
    assert cut.removed == {"conv1": 4, "conv2": 4}
    assert "predicted_latency_ms" not in cut.to_dict()


def test_a_latency_needs_a_table(source):
    with pytest.raises(BadInputError, match="--profile"):
        Cutter(source).reach(1.0)


@pytest.fixture
def target(source):
    """The model on a device whose latency is told by multiply-accumulates."""
    table = profile_model(source.model, Device.of(), effort=EFFORTS["quick"])
    whole = count(source.model.proto).macs
    bench = FakeBench(lambda proto: table.latency_us.median_ms * count(proto).macs / whole)
    return Target(table, bench)


def test_figures_belong_to_their_plan_in_any_order(source, target, tmp_path):
    """Another plan made meanwhile changes nothing of one that is cut later."""
    cutter = Cutter(source, target)
    half, floor = cutter.keep(0.5), cutter.keep(0.1)
    reached = cutter.reach(0.9 * target.table.latency_us.median_ms)
    Plan(source.model.sha256, {"conv1": [0, 1]}).save(tmp_path / "plan.json")
    loaded = cutter.load(tmp_path / "plan.json")
    cuts = [(p, cutter.cut(p, verify=False)) for p in (loaded, reached, floor, half)]
    for proposal, cut in cuts:
        widths = cutter.channels.widths | {n: len(k) for n, k in proposal.plan.keep.items()}
        assert cut.plan == proposal.plan
        assert cut.predicted_ms == pytest.approx(target.predictor.predict_ms(widths))
        assert cut.measured_ms == proposal.measured_ms
    assert [p for p, cut in cuts if cut.measured_ms is not None] == [reached]
    assert reached.measured_ms == pytest.approx(target.bench.ms(cuts[1][1].proto))
    assert [p for p, cut in cuts if "no share" in " ".join(cut.notices)] == [floor]


def test_the_latency_of_the_file_stands_beside_that_of_the_graph_once_exported(
    source, target, tmp_path
):
    """The file has no rewrites: it takes longer than what was planned and measured."""
    timed = []

    def file_ms(proto):
        timed.append(proto)
        return 9.2

    slow = Target(target.table, replace(target.bench, file_ms=file_ms))
    cutter = Cutter(source, slow, write_photos(tmp_path / "photos"))
    reached = cutter.reach(0.9 * target.table.latency_us.median_ms)
    assert timed == []
    cut = cutter.cut(reached, verify=False)
    assert timed == [cut.proto]
    found = cut.to_dict()
    assert found["file_latency_ms"] == 9.2
    assert found["measured_latency_ms"] == pytest.approx(reached.measured_ms, abs=1e-4)
    assert "file_latency_ms" not in cutter.cut(cutter.keep(0.5), verify=False).to_dict()


def test_the_latency_of_a_file_of_any_size_is_that_of_the_graph_with_dynamic_axes(tmp_path):
    path = write_dynamic_generator(tmp_path / "m.onnx")
    source = resolve(str(path), FLAGS, {"image": [1, 3, 24, 24]})
    table = profile_model(source.model, Device.of(), effort=EFFORTS["quick"])
    timed = []
    bench = FakeBench(lambda proto: 1.0, file_ms=lambda proto: timed.append(proto) or 2.0)
    cutter = Cutter(source, Target(table, bench))
    cutter.cut(cutter.reach(1.0), verify=False).save(tmp_path / "out.onnx", source)
    assert timed[0].graph == onnx.load(tmp_path / "out.onnx").graph


def test_a_plan_of_odd_widths_says_what_they_cost(source, target, tmp_path):
    Plan(source.model.sha256, {"conv1": [0, 1, 2, 3, 4]}).save(tmp_path / "plan.json")
    (notice,) = Cutter(source).load(tmp_path / "plan.json").notices
    assert notice.startswith("conv1 (5): no multiple of 4 channels")
    predictor = target.predictor
    predictor.candidates = {"conv1": [4, 8], "conv2": [4, 8]}
    predictor.predict_many = lambda widths: np.ones(len(widths))
    (notice,) = Cutter(source, target).load(tmp_path / "plan.json").notices
    assert notice.startswith("conv1: 3 more channels there would take no longer")


def test_a_share_goes_up_to_the_edge_of_the_stair(source, target):
    target.predictor.candidates = {"conv1": [6, 8], "conv2": [5, 8]}
    target.predictor.predict_many = lambda widths: np.ones(len(widths))
    proposal = Cutter(source, target).keep(0.5)
    assert {name: len(kept) for name, kept in proposal.plan.keep.items()} == {
        "conv1": 6,
        "conv2": 5,
    }
    assert "conv1, conv2: wider than this share, up to the edge" in proposal.notices[0]
    exact = Cutter(source, target).keep(0.5, align=1)
    assert {name: len(kept) for name, kept in exact.plan.keep.items()} == {"conv1": 4, "conv2": 4}


def test_a_plan_is_checked(source, tmp_path):
    Plan(source.model.sha256, {"conv1": [99]}).save(tmp_path / "plan.json")
    with pytest.raises(BadInputError, match=r"plan\.json: .*group 'conv1'"):
        Cutter(source).load(tmp_path / "plan.json")


def test_repair_brings_the_picture_back(source, tmp_path):
    cutter = Cutter(source, images=write_photos(tmp_path / "photos"))
    plan = cutter.keep(0.75, align=1)
    cut = cutter.cut(plan, verify=True)
    assert cut.max_abs_diff <= 1e-4
    sliced = Cutter(source).cut(plan, verify=False).proto
    ours, theirs = initializers(cut.proto), initializers(sliced)
    assert any(not np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert {name: array.shape for name, array in ours.items()} == {
        name: array.shape for name, array in theirs.items()
    }


def test_a_wrong_slice_is_not_handed_out(source, monkeypatch):
    def spoiled(proto, channels, plan):
        sliced = slice_graph(proto, channels, plan)
        weight = initializers(sliced)["head.weight"]
        replace_initializers(sliced, {"head.weight": 2 * weight})
        return sliced

    monkeypatch.setattr("decig.deploy.cutter.slice_graph", spoiled)
    cutter = Cutter(source)
    with pytest.raises(DecigError, match=r"m\.onnx: sliced graph and masked original: outputs"):
        cutter.cut(cutter.keep(0.5), verify=True)


@pytest.mark.parametrize("spoil", [1.003, 1.01])
def test_a_slightly_wrong_weight_is_not_rounding(source, monkeypatch, spoil):
    def spoiled(proto, channels, plan):
        sliced = slice_graph(proto, channels, plan)
        weight = initializers(sliced)["head.weight"].copy()
        weight[0, 0] *= spoil
        replace_initializers(sliced, {"head.weight": weight})
        return sliced

    monkeypatch.setattr("decig.deploy.cutter.slice_graph", spoiled)
    cutter = Cutter(source)
    with pytest.raises(DecigError, match="sliced graph and masked original: outputs differ by"):
        cutter.cut(cutter.keep(0.5), verify=True)
