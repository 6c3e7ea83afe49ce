from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from decig.errors import BadInputError, DecigError
from decig.graph.model import initializers
from decig.source.recipe import Recipe
from decig.training.compression.adversary import trained_discriminator
from decig.training.originals import original, shown
from decig.training.pytorch.generator import build_generator
from decig.training.tasks.paired import Paired
from tests.runtime import open_plain
from tests.training.killed import require_going_on, save_always
from tests.training.small_originals import NORMED, SIDE_BY_SIDE, rewrite_recipe, write_pairs

RECIPE = SIDE_BY_SIDE.format(
    side=64,
    output_range="[-1, 1]",
    stages="[{ crop = 32, batch = 2, steps = 2 }, { crop = 64, batch = 1, steps = 2 }]",
)
NET = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1), nn.Tanh())
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "data", 64)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "net.py").write_text(NET)
    return rewrite_recipe(tmp_path, RECIPE)


def _weights(run: Path) -> dict[str, "torch.Tensor"]:
    state = torch.load(run / "state.pt", weights_only=True)
    judge = state["groups"]["discriminator"]["nets"]["discriminator"]
    return state["means"]["generator"] | {f"d.{name}": value for name, value in judge.items()}


def _kill_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    """Save after every step and end the run before the given one."""
    batch = Paired.batch

    def dying(task, number):
        if number == step:
            raise error
        return batch(task, number)

    save_always(monkeypatch)
    monkeypatch.setattr(Paired, "batch", dying)


def test_run_leaves_a_model_a_state_and_a_sheet(recipe, data, tmp_path):
    path = original.train(recipe, tmp_path / "run", data=data)
    session = open_plain(path)
    (output,) = session.run(None, {"input": np.zeros((1, 3, 64, 64), np.float32)})
    assert output.shape == (1, 3, 64, 64)
    with Image.open(tmp_path / "run/samples/step-000004.png") as sheet:
        assert sheet.width > 3 * 64
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["step"] == 4


def test_a_run_leaves_its_discriminator_to_judge_students(recipe, data, tmp_path):
    original.train(recipe, tmp_path / "run", data=data)
    # Both the file that is written for it and the state hold it.
    files = [tmp_path / "run" / name for name in ("discriminator.safetensors", "state.pt")]
    judges = [trained_discriminator(file, 3, "target") for file in files]
    wanted = {name: value for name, value in _weights(tmp_path / "run").items() if name[:2] == "d."}
    for judge in judges:
        found = {f"d.{name}": value for name, value in judge.state_dict().items()}
        assert found.keys() == wanted.keys()
        assert all(torch.equal(value, wanted[name]) for name, value in found.items())


@pytest.mark.parametrize("net", [NET, NORMED])
def test_killed_run_resumes_to_the_same_weights(recipe, data, tmp_path, net):
    (tmp_path / "net.py").write_text(net)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    original.train(recipe, whole, data=data)
    with pytest.MonkeyPatch.context() as patch:
        _kill_at(patch, 3, SystemExit())
        with pytest.raises(SystemExit):
            original.train(recipe, cut, data=data)
    require_going_on(
        lambda: original.train(recipe, cut, data=data, resume=True), cut / "state.pt", after=2
    )
    for name, value in _weights(whole).items():
        assert torch.equal(value, _weights(cut)[name]), name


def test_a_net_that_cannot_be_exported_is_not_trained(recipe, data, tmp_path, monkeypatch):
    def refuse(*_):
        raise BadInputError("the module: PyTorch cannot export this")

    monkeypatch.setattr(shown, "export_onnx", refuse)
    monkeypatch.setattr(Paired, "batch", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(BadInputError, match="PyTorch cannot export this"):
        original.train(recipe, tmp_path / "run", data=data)
    assert not (tmp_path / "run" / "state.pt").exists()


def with_statistics(recipe, own):
    return replace(recipe, source=replace(recipe.source, batch_statistics=own))


def test_running_statistics_go_into_the_file(recipe, data, tmp_path):
    (tmp_path / "net.py").write_text(NORMED)
    path = original.train(with_statistics(recipe, False), tmp_path / "run", data=data)
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    exported = initializers(onnx.load(path))
    for name in ("1.running_mean", "1.running_var"):
        assert (exported[name] != name.endswith("var")).all()  # not as they began
        trained = state["groups"]["generator"]["nets"]["generator"]
        assert np.array_equal(exported[name], trained[name].numpy())


def test_a_picture_s_own_statistics_go_into_the_file_and_the_sheet(recipe, data, tmp_path):
    (tmp_path / "net.py").write_text(NORMED)
    path = original.train(recipe, tmp_path / "run", data=data)  # ends with one crop per step
    assert "BatchNormalization" not in {node.op_type for node in onnx.load(path).graph.node}
    picture = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    (painted,) = open_plain(path).run(None, {"input": picture})
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    net = build_generator(recipe.source, tmp_path)
    net.load_state_dict(state["groups"]["generator"]["nets"]["generator"])
    net.train()[2].eval()  # normalises by the picture, and drops nothing
    with torch.no_grad():
        np.testing.assert_allclose(painted, net(torch.from_numpy(picture)), atol=1e-4)
    with Image.open(tmp_path / "run/samples/step-000004.png") as sheet:
        own = np.asarray(sheet)
    original.train(with_statistics(recipe, False), tmp_path / "other", data=data)
    with Image.open(tmp_path / "other/samples/step-000004.png") as sheet:
        assert not np.array_equal(own, np.asarray(sheet))


def test_a_net_without_batch_norms_has_no_statistics_to_choose(recipe, data, tmp_path):
    with pytest.raises(BadInputError, match="has no batch norms"):
        original.train(with_statistics(recipe, True), tmp_path / "run", data=data)


def test_a_net_may_need_the_batches_of_its_stages(recipe, data, tmp_path):
    """A batch norm over one value per channel has no statistics in a batch of one."""
    gated = """
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.last = nn.Conv2d(3, 3, 1)
    def forward(self, x):
        return self.last(x * self.gate(x).sigmoid())
"""
    (tmp_path / "net.py").write_text(gated)
    with pytest.raises(BadInputError, match="more than 1 value per channel"):
        original.train(recipe, tmp_path / "one", data=data)
    stages = [{"crop": 64, "batch": 2, "steps": 1}]
    changed = replace(recipe, train={**recipe.train, "stages": stages})
    assert original.train(changed, tmp_path / "two", data=data).is_file()


def test_other_images_or_processes_cannot_change_how_long_an_epoch_is(recipe, data, tmp_path):
    stages = [{"crop": 64, "batch": 1, "epochs": 1}]
    changed = replace(recipe, train={**recipe.train, "stages": stages})
    original.train(changed, tmp_path / "run", data=data)
    next((data / "train").iterdir()).unlink()
    with pytest.raises(BadInputError, match=r"steps = 3, not 2; go on with the same .*processes"):
        original.train(changed, tmp_path / "run", data=data, resume=True)


def test_an_interrupted_run_keeps_its_state(recipe, data, tmp_path, monkeypatch):
    _kill_at(monkeypatch, 2, KeyboardInterrupt())  # as the engine raises it, after saving
    with pytest.raises(KeyboardInterrupt):
        original.train(recipe, tmp_path / "run", data=data)
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["step"] == 2


def test_nan_stops_the_run_and_keeps_the_last_good_state(recipe, data, tmp_path, monkeypatch):
    save_always(monkeypatch)
    batch = Paired.batch

    def poisoned(task, number):
        made = batch(task, number)
        return replace(made, real=made.real * (float("nan") if number == 2 else 1))

    monkeypatch.setattr(Paired, "batch", poisoned)
    with pytest.raises(DecigError, match=r"became nan at step 2; the last good state"):
        original.train(recipe, tmp_path / "run", data=data)
    assert torch.load(tmp_path / "run/state.pt", weights_only=True)["step"] == 2
    assert all(value.isfinite().all() for value in _weights(tmp_path / "run").values())


def test_loss_falls_on_a_constant_target(recipe, data, tmp_path, monkeypatch):
    text = RECIPE.replace("[train]", "[train]\nlearning_rate = 0.02\nadversarial = 0")
    recipe = rewrite_recipe(tmp_path, text.replace("steps = 2 }]", "steps = 40 }]"))
    losses = []
    batch, terms = Paired.batch, Paired.losses

    def constant(task, number):
        made = batch(task, number)
        return replace(made, real=torch.full_like(made.real, 0.5))

    def watched(task, *arguments):
        found = terms(task, *arguments)
        losses.append(found["l1"].item())
        return found

    monkeypatch.setattr(Paired, "batch", constant)
    monkeypatch.setattr(Paired, "losses", watched)
    original.train(recipe, tmp_path / "run", data=data)
    assert losses[-1] < 0.3 * losses[0]


def test_data_folder_may_stand_in_the_recipe(recipe, data, tmp_path):
    recipe = rewrite_recipe(tmp_path, RECIPE + 'folder = "data"\n')
    original.train(recipe, tmp_path / "run")
    assert (tmp_path / "run/generator.onnx").is_file()


def test_bfloat16(recipe, data, tmp_path):
    recipe = rewrite_recipe(tmp_path, RECIPE.replace("[train]", '[train]\nprecision = "bf16"'))
    original.train(recipe, tmp_path / "run", data=data)
    assert all(value.dtype == torch.float32 for value in _weights(tmp_path / "run").values())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[train]", "[train]\nunknown = 1", "unknown key"),
        ('[source]\npython = "net.py:Net"', "", r"has no \[source\] table to train from"),
        ("[pixels]", '[pixels]\nlayout = "nhwc"', "training needs pixels.layout nchw"),
        ("[1, 3, 64, 64]", "[1, 4, 64, 64]", "Net cannot take an input"),
        ("crop = 64", "crop = 128", "too small for 128x128 crops"),
    ],
)
def test_recipes_that_cannot_be_trained(recipe, data, tmp_path, old, new, message):
    with pytest.raises(BadInputError, match=message):
        original.train(
            rewrite_recipe(tmp_path, RECIPE.replace(old, new)), tmp_path / "run", data=data
        )


def test_folders_that_do_not_serve(recipe, data, tmp_path):
    with pytest.raises(BadInputError, match="give --data or folder"):
        original.train(recipe, tmp_path / "run")
    with pytest.raises(BadInputError, match=r"absent: no such folder"):
        original.train(recipe, tmp_path / "run", data=tmp_path / "absent")
    with pytest.raises(BadInputError, match="holds no run that could go on"):
        original.train(recipe, tmp_path / "run", data=data, resume=True)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/state.pt").write_bytes(b"half a file")
    with pytest.raises(BadInputError, match="go on with --resume"):
        original.train(recipe, tmp_path / "run", data=data)
    with pytest.raises(BadInputError, match=r"training\.json: cannot read this record of a run"):
        original.train(recipe, tmp_path / "run", data=data, resume=True)
    (tmp_path / "run/state.pt").unlink()
    original.train(recipe, tmp_path / "run", data=data)
    (tmp_path / "run/state.pt").write_bytes(b"half a file")
    with pytest.raises(BadInputError, match="not the state of this run"):
        original.train(recipe, tmp_path / "run", data=data, resume=True)


@pytest.mark.parametrize("name", ["run.json", "targets.json"])
def test_the_folder_of_a_compression_is_no_place_for_an_original(recipe, data, tmp_path, name):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("{}")
    with pytest.raises(BadInputError, match="run: holds a run of decig compress; use another"):
        original.train(recipe, tmp_path / "run", data=data)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [name]


def test_nothing_else_goes_on_in_the_folder_of_a_run(recipe, data, tmp_path):
    run = tmp_path / "run"
    original.train(recipe, run, data=data, direction="AtoB")
    original.train(recipe, run, data=data, direction="AtoB", resume=True)
    message = r"run: the run there was begun with train\.data\.direction = 'AtoB', not 'BtoA'"
    with pytest.raises(BadInputError, match=message):
        original.train(recipe, run, data=data, resume=True)
    other = rewrite_recipe(tmp_path, RECIPE.replace("[train]", "[train]\nl1 = 10"))
    with pytest.raises(BadInputError, match=r"begun with train\.l1 = None, not 10"):
        original.train(other, run, data=data, direction="AtoB", resume=True)
    larger = rewrite_recipe(tmp_path, RECIPE.replace("64, 64]", "32, 32]"))
    with pytest.raises(BadInputError, match=r"begun with input_shapes\.input = \[1, 3, 64, 64\]"):
        original.train(larger, run, data=data, direction="AtoB", resume=True)


def test_the_direction_that_is_given_goes_before_the_recipes(recipe, data, tmp_path):
    files = [
        original.train(recipe, tmp_path / str(direction), data=data, direction=direction)
        for direction in ("AtoB", "BtoA", None)
    ]
    contents = [file.read_bytes() for file in files]
    assert contents[1] == contents[2] != contents[0]  # the recipe says BtoA
    text = RECIPE.split("[train.data]")[0] + 'data = "facades"\n'
    with pytest.raises(BadInputError, match=r"train\.data: expected `object`, not 'facades'"):
        original.train(
            rewrite_recipe(tmp_path, text), tmp_path / "run", data=data, direction="AtoB"
        )


def test_samples_and_the_model_are_renewed_on_the_way(recipe, data, tmp_path):
    original.train(recipe, tmp_path / "run", data=data, sample_every_s=0.0)
    sheets = sorted(path.name for path in (tmp_path / "run/samples").iterdir())
    assert sheets == [f"step-00000{step}.png" for step in (1, 2, 3, 4)]


def test_a_generator_is_never_there_without_its_stamp(recipe, data, tmp_path, monkeypatch):
    def killed(*_):
        raise RuntimeError("killed")

    monkeypatch.setattr(shown, "stamp", killed)
    monkeypatch.setattr(original, "_require_exportable", lambda _: None)
    with pytest.raises(RuntimeError, match="killed"):
        original.train(recipe, tmp_path / "run", data=data)
    assert not (tmp_path / "run/generator.onnx").exists()


def test_a_task_that_is_not_there_is_named(recipe, data, tmp_path):
    with pytest.raises(BadInputError, match=r"no task is called 'pared'; known: .*paired"):
        text = RECIPE.replace("[train]", '[train]\ntask = "pared"')
        original.train(rewrite_recipe(tmp_path, text), tmp_path / "run", data=data)
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_written_is_named(recipe, data, tmp_path):
    (tmp_path / "run").write_bytes(b"a file")
    with pytest.raises(BadInputError, match="run: not written: "):
        original.train(recipe, tmp_path / "run", data=data)
