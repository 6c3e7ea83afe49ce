import onnx
import pytest

from decig.device.plan.compute import MacsTarget
from decig.device.plan.target import TABLE_FILE, Target
from decig.device.plan.wanted import Wanted
from decig.device.run.device import Device
from decig.errors import BadInputError
from decig.graph.channels import analyse
from decig.graph.model import load_model
from decig.training.loop.processes import Processes
from decig.training.originals.asked import write_asked
from decig.training.originals.condensing_goal import CondensingGoal, method_of_run
from tests.training import small_originals
from tests.training.small import work_table
from tests.training.tiny import tiny_generator


@pytest.fixture
def model(tmp_path):
    onnx.save(tiny_generator(size=24), tmp_path / "model.onnx")
    return load_model(tmp_path / "model.onnx")


def test_a_latency_or_a_speed_up_is_counted_from_the_table(model, tmp_path):
    table = work_table(model)
    channels = analyse(model.proto)
    for asked, wanted in (
        (Wanted("latency", 0.5), 0.5),
        (Wanted("speedup", 4), None),
        (None, None),
    ):
        found = CondensingGoal(table, asked)
        target = found.of(model, channels)
        assert isinstance(target, Target)
        expected = wanted if asked is None or wanted else table.as_it_is_ms / 4
        assert found.target_ms == found.counted(target) == expected
        assert found.record().keys() == {"target_ms", "table", "device"}
    found.save(tmp_path)
    assert (tmp_path / TABLE_FILE).is_file()


def test_without_a_table_multiply_accumulates_are_counted(model, tmp_path):
    found = CondensingGoal(None, Wanted("macs", 0.25), "hypernet")
    target = found.of(model, analyse(model.proto))
    assert isinstance(target, MacsTarget) and found.target_ms is None
    assert found.counted(target) == pytest.approx(target.as_it_is_ms / 4)
    assert found.record() == {"target_macs": 0.25, "method": "hypernet"}
    found.save(tmp_path)
    assert not (tmp_path / TABLE_FILE).exists()


def test_a_run_goes_on_by_the_method_that_it_began_with(tmp_path):
    assert method_of_run(tmp_path) == "decig"  # there is none yet
    for more, method in (
        ({}, "decig"),
        ({"condense": CondensingGoal(None, Wanted("macs", 0.5)).record()}, "decig"),
        ({"condense": CondensingGoal(None, Wanted("macs", 0.5), "hypernet").record()}, "hypernet"),
    ):
        write_asked(tmp_path, {"train": {"task": "paired"}, **more})
        assert method_of_run(tmp_path) == method
    (tmp_path / "training.json").write_text('{"condense": 1}')
    with pytest.raises(BadInputError, match=r"training\.json: "):
        method_of_run(tmp_path)


def test_a_table_of_another_generator_is_refused(model, tmp_path):
    onnx.save(tiny_generator(size=24, width=16), tmp_path / "wide.onnx")
    wide = load_model(tmp_path / "wide.onnx")
    with pytest.raises(BadInputError, match="made for another model"):
        CondensingGoal(work_table(model)).of(wide, analyse(wide.proto))


def test_only_the_main_process_must_be_on_the_device_of_the_table(model, monkeypatch):
    goal, channels = CondensingGoal(work_table(model)), analyse(model.proto)
    monkeypatch.setattr(Device, "elsewhere", lambda _: "another processor")
    with pytest.raises(BadInputError, match="belongs to another device"):
        goal.of(model, channels)
    monkeypatch.setattr(Processes, "after_main", lambda self, work, others: others())
    assert goal.of(model, channels).bench is None


def test_each_method_reads_its_own_table_of_the_recipe(tmp_path):
    settings = "condense = { share = 0.25, teacher = 3 }\nhypernet = { shrink = 0.75 }"
    recipe = small_originals.write_recipe(tmp_path, "paired", settings)
    target = Wanted("macs", 0.5)
    decig, hypernet = (
        CondensingGoal(None, target, name).way(recipe) for name in ("decig", "hypernet")
    )
    assert (decig.share, decig.teacher) == (0.25, 3)
    assert (hypernet.share, hypernet.teacher) == (0.75, 0)
    recipe = small_originals.write_recipe(tmp_path, "paired", "hypernet = { shrink = 1 }")
    with pytest.raises(BadInputError, match=r"recipe\.toml: \[train\.hypernet\]: shrink: .*< 1"):
        CondensingGoal(None, target, "hypernet").way(recipe)
