import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from decig.deploy import precision as module
from decig.deploy.convert import to_fp16
from decig.deploy.precision import Tolerance, choose_precision, require_precision
from decig.device.run.device import Device
from decig.device.run.timing import Latency
from decig.errors import BadInputError, DecigError
from decig.graph.model import replace_initializers
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.source.stamp import read_stamp
from tests.samples import PIXELS, decig, generator, write_generator, write_photos
from tests.threads import FREE, watch_threads

UNIT = PixelFlags((0.0, 1.0), (0.0, 1.0), None, "rgb")
ANY = Tolerance(-1.0, 0.1)


@pytest.fixture
def choose(tmp_path, monkeypatch):
    """Choose with made-up latencies."""
    source = resolve(str(write_generator(tmp_path / "m.onnx")), UNIT)
    folder, graph = write_photos(tmp_path / "photos"), source.model.proto

    def run(asked, tolerance=ANY, **times):
        monkeypatch.setattr(
            module,
            "time_graphs",
            lambda graphs, _: {n: Latency(times[n], 0, times[n], 9) for n in graphs},
        )
        return choose_precision(asked, graph, graph, source, folder, Device.of(), tolerance)

    return run


def test_the_fastest_is_used(choose):
    found = choose("auto", fp32=100, fp16=90, int8=50)
    assert found.used == "int8"
    assert found.speedup == pytest.approx(2.0)
    assert "DequantizeLinear" in {node.op_type for node in found.proto.graph.node}
    shown = found.to_dict()["variants"]
    assert shown["fp16"]["dropped"] == "takes 1.80 times as long as int8"
    assert shown["int8"]["dropped"] is None
    assert shown["int8"]["ssim"] > 0.5


def test_what_is_not_faster_is_dropped(choose, caplog):
    found = choose("fp16", fp32=100, fp16=120)
    assert found.used == "fp32"
    assert found.speedup == 1.0
    assert "fp16 is not used: takes 1.20 times as long as fp32" in caplog.text


def test_a_little_faster_is_not_worth_it(choose):
    found = choose("fp16", fp32=100, fp16=97)
    assert found.used == "fp32"
    assert "less than 1.05 times faster is not worth it" in found.variants[0].dropped


@pytest.mark.parametrize(("deviation", "used"), [(30.0, "fp32"), (0.1, "fp16")])
def test_what_may_be_chance_is_not_faster(deviation, used):
    times = {"fp32": Latency(100, deviation, 100, 9), "fp16": Latency(90, deviation, 90, 9)}
    assert module._fastest(times) == used


def test_what_is_not_good_enough_is_not_even_timed(choose):
    found = choose("int8", Tolerance(0.0, 90.0))
    assert found.used == "fp32"
    assert found.fp32 is None
    assert "PSNR" in found.variants[0].dropped
    assert "latency_ms" not in found.to_dict()["variants"]["int8"]


def test_harmful_layers_stay_in_float32_until_the_pictures_hold(choose):
    every = choose("int8", fp32=100, int8=50).variants[0]
    assert every.in_fp32 == ()
    found = choose("int8", Tolerance(-1.0, every.psnr_db + 0.2), fp32=100, int8=50)
    assert found.used == "int8"
    (variant,) = found.variants
    assert 1 <= len(variant.in_fp32) <= 2
    assert variant.psnr_db > every.psnr_db
    assert found.to_dict()["variants"]["int8"]["layers_in_fp32"] == list(variant.in_fp32)


def test_the_most_harmful_layer_is_the_one_that_stays(tmp_path):
    proto = generator()
    # The head's largest weights read a channel that is 0 always; eight bits round the others away.
    weights = {t.name: numpy_helper.to_array(t).copy() for t in proto.graph.initializer}
    weights["norm2.weight"][0], weights["norm2.bias"][0] = 0.0, -1.0
    weights["head.weight"][:, 0] = 60.0
    replace_initializers(proto, weights)
    onnx.save(proto, tmp_path / "m.onnx")
    source, folder = resolve(str(tmp_path / "m.onnx"), UNIT), write_photos(tmp_path / "photos")
    graph, device = source.model.proto, Device.of()
    found = choose_precision("int8", graph, graph, source, folder, device, Tolerance(), device)
    assert found.used == "int8"
    assert found.variants[0].in_fp32 == ("head",)


def test_layers_are_ranked_by_the_harm_that_each_does_alone():
    alone = {"a": 0.99, "b": 0.5, "c": 0.9}

    class Layers:
        layers = tuple(alone)

        def __call__(self, in_fp32):
            (quantised,) = set(alone) - set(in_fp32)
            return quantised

    def judge(name, quantised, *, few):
        assert name == "int8" and few
        return module.Variant(name, onnx.ModelProto(), alone[quantised], 30.0)

    assert module._most_harmful_first(Layers(), judge) == ["b", "c", "a"]


def test_auto_leaves_out_what_cannot_be_converted(choose, monkeypatch, caplog):
    def refuse(*_):
        raise BadInputError("fp16: no")

    monkeypatch.setattr(module, "to_fp16", refuse)
    found = choose("auto", fp32=100, int8=50)
    assert found.used == "int8"
    assert "fp16 is not tried: fp16: no" in caplog.text
    with pytest.raises(BadInputError, match="fp16: no"):
        choose("fp16", fp32=100, fp16=50)


def test_a_precision_without_numbers_is_dropped_with_the_node_to_blame(choose, monkeypatch):
    def broken(plain):
        half = to_fp16(plain)
        bias = next(n for n in half.graph.node if n.name == "head").input[2]
        replace_initializers(half, {bias: np.full(3, np.nan, np.float16)})
        return half

    monkeypatch.setattr(module, "to_fp16", broken)
    found = choose("fp16", fp32=100, fp16=10)
    assert found.used == "fp32"
    assert "node head (Conv) computes NaN" in found.variants[0].dropped


def refuse_when(monkeypatch, what, refused):
    """Let a function that takes a graph first, or after itself, refuse some graphs."""
    place, name = what
    run = getattr(place, name)

    def or_refuse(*args, **options):
        for graph in (each for each in args if isinstance(each, onnx.ModelProto)):
            if refused in {node.op_type for node in graph.graph.node}:
                raise DecigError(f"the model: OtherExecutionProvider cannot run {refused} n")
        return run(*args, **options)

    monkeypatch.setattr(place, name, or_refuse)


@pytest.mark.parametrize("what", [(Device, "open"), (module, "timed_run")])
def test_auto_goes_on_without_what_the_provider_refuses(choose, monkeypatch, caplog, what):
    """A provider may refuse a variant when it is opened, or only with the options of timed runs."""
    refuse_when(monkeypatch, what, "QuantizeLinear")
    found = choose("auto", fp32=100, fp16=50)
    assert found.used == "fp16"
    assert "int8 is not tried: the model: OtherExecutionProvider cannot run" in caplog.text
    shown = found.to_dict()["variants"]
    assert shown["fp16"]["dropped"] is None
    assert shown["int8"] == {
        "dropped": "the model: OtherExecutionProvider cannot run QuantizeLinear n"
    }


def test_auto_is_float32_where_the_provider_refuses_all_else(choose, monkeypatch):
    refuse_when(monkeypatch, (Device, "open"), "QuantizeLinear")
    refuse_when(monkeypatch, (Device, "open"), "Cast")
    found = choose("auto")
    assert (found.used, found.variants, found.refused.keys()) == ("fp32", (), {"fp16", "int8"})


def test_a_precision_that_was_asked_for_and_is_refused_is_named(choose, monkeypatch):
    refuse_when(monkeypatch, (Device, "open"), "QuantizeLinear")
    with pytest.raises(DecigError, match=r"^int8: the model: OtherExecutionProvider cannot run"):
        choose("int8")


def test_pictures_are_judged_on_the_threads_that_are_free(choose, monkeypatch):
    opened = watch_threads(monkeypatch)
    choose("fp16", fp32=100, fp16=50)
    assert opened == [FREE, FREE, 1]  # float32 and fp16, and fp16 as it will be timed


def test_fewest_is_a_bisection():
    tried = []

    def attempt(count):
        tried.append(count)
        return module.Variant("int8", onnx.ModelProto(), 1, 1, dropped="" if count >= 11 else "bad")

    assert module.fewest_in_float32(attempt, 20).dropped == ""
    assert min(count for count in tried if count >= 11) == 11
    assert len(tried) <= 5
    assert module.fewest_in_float32(attempt, 9) is None


def test_the_heaviest_layers_are_given_back_where_that_holds():
    tried = []

    def attempt(in_fp32):
        tried.append(in_fp32)
        dropped = "" if {"a", "c"} <= set(in_fp32) else "bad"
        return module.Variant("int8", onnx.ModelProto(), 1, 1, None, dropped, tuple(in_fp32))

    first = attempt(("a", "b", "c", "d"))
    found = module.give_back(first, attempt, {"a": 9, "b": 7, "c": 8, "d": 1})
    assert found.in_fp32 == ("a", "c")
    assert tried[1:] == [["b", "c", "d"], ["a", "b", "d"], ["a", "c", "d"], ["a", "c"]]
    alone = attempt(("a",))
    assert module.give_back(alone, attempt, {}) is alone


def test_what_is_asked_for(tmp_path):
    source = resolve(str(write_generator(tmp_path / "m.onnx")), UNIT)
    with pytest.raises(BadInputError, match="--precision int4: not one of"):
        require_precision("int4", source, None)
    with pytest.raises(BadInputError, match="needs --calibration DIR"):
        require_precision("auto", source, None)
    with pytest.raises(BadInputError, match="--precision auto needs --opset 13 or later"):
        require_precision("auto", source, Path(), 12)
    require_precision("fp32", source, None)
    drawn = replace(source, feeds={"image": "normal"})
    require_precision("auto", drawn, None)
    with pytest.raises(BadInputError, match="needs --calibration DIR"):
        require_precision("auto", replace(source, feeds={"image": "files"}), None)


@pytest.mark.parametrize("pixel_io", [False, True])
def test_the_command(tmp_path, pixel_io):
    model, folder = write_generator(tmp_path / "m.onnx"), write_photos(tmp_path / "photos")
    out = tmp_path / "out.onnx"
    arguments = ["--precision", "auto", "--calibration", folder, "--min-psnr", "20", "--json"]
    arguments += ["--pixel-io"] * pixel_io
    result = decig("export", model, "-o", out, *arguments, *PIXELS)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)["precision"]
    assert found["asked"] == "auto"
    assert found["variants"].keys() == {"fp16", "int8"}
    assert found["used"] in ("fp32", "fp16", "int8")
    assert read_stamp(onnx.load(out))["figures"]["precision"] == found
    again = ["check", out, "--reference", model, "--data", folder, "--min-psnr", "20", *PIXELS]
    assert decig(*again).exit_code == 0


def test_images_that_are_missing(tmp_path):
    model = write_generator(tmp_path / "m.onnx")
    arguments = ["--precision", "int8", "--calibration", tmp_path / "none"]
    result = decig("export", model, "-o", tmp_path / "out.onnx", *arguments, *PIXELS)
    assert result.exit_code == 2
    assert "none' does not exist" in result.stderr
