import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch.nn.functional import l1_loss

from decig.errors import BadInputError
from decig.source.stamp import read_known
from decig.training import tasks
from decig.training.loop.engine import Engine
from decig.training.loop.processes import Processes
from decig.training.loop.schedule import Budget
from decig.training.originals import original
from decig.training.tasks.unpaired import Batch, Unpaired, open_task
from tests.runtime import open_plain
from tests.training import small_originals
from tests.training.launch import together

Make = Callable[..., Unpaired]
GENERATORS, DISCRIMINATORS = ({name, f"{name}_back"} for name in ("generator", "discriminator"))


@pytest.fixture
def task(tmp_path: Path) -> Make:
    """Opens the task on a small data set, with lines of settings before the stages."""
    small_originals.write_data(tmp_path / "data", "unpaired")

    def make(
        *settings: str, rank: int = 0, stages: str = small_originals.STAGES, **recipe: str
    ) -> Unpaired:
        text = "\n".join([*(line for line in settings if not line.startswith("[")), stages])
        text += "\n" + "\n".join(line for line in settings if line.startswith("["))
        made = small_originals.write_recipe(tmp_path, "unpaired", text, **recipe)
        return open_task(made, tmp_path / "data", small_originals.with_rank(rank))

    return make


def still(made: Unpaired) -> Unpaired:
    """The same without dropout and running statistics: what is computed twice is the same."""
    for net in made.nets.values():
        net.eval()
    return made


def test_it_is_found_by_its_name() -> None:
    assert tasks.find("unpaired").open_task is open_task


def test_crops_follow_seed_step_and_rank(task: Make) -> None:
    made = task()
    batch = made.batch(3)
    for side in (batch.a, batch.b):
        assert side.shape == (2, 3, 32, 32) and -1 <= side.min() < -0.9 and 0.9 < side.max() <= 1
    again = task().batch(3)
    assert torch.equal(again.a, batch.a) and torch.equal(again.b, batch.b)
    assert again.rng.random() == made.batch(3).rng.random()
    for other in (made.batch(4), task(rank=1).batch(3), task("seed = 1").batch(3)):
        assert not torch.equal(other.a, batch.a) and not torch.equal(other.b, batch.b)


def test_an_epoch_goes_through_the_larger_set(task: Make) -> None:
    stages = "stages = [{ crop = 32, load = 36, epochs = 2 }]"
    made = task(stages=stages)
    assert made.steps == 2 * 7  # five pictures of A, seven of B
    turned = task('[train.data]\ndirection = "BtoA"', stages=stages)
    assert turned.steps == made.steps
    seen = [made._course.draw(step).examples[0] % 5 for step in range(7)]
    assert set(seen) == set(range(5))


def test_the_direction_says_which_generator_is_the_recipes(task: Make) -> None:
    titles = {"AtoB": task().show, "BtoA": task('[train.data]\ndirection = "BtoA"').show}
    shown = {
        name: show({net: torch.nn.Identity() for net in GENERATORS})
        for name, show in titles.items()
    }
    for first, second in (("A", "B"), ("B", "A")):
        for one, other in zip(shown["AtoB"][first], shown["BtoA"][second], strict=True):
            assert np.array_equal(one, other)


def test_losses_are_those_computed_by_hand(task: Make) -> None:
    made = still(task("cycle = 6", "identity = 0.25"))
    there, back = made.nets["generator"], made.nets["generator_back"]
    judge_b, judge_a = made.nets["discriminator"], made.nets["discriminator_back"]
    batch = made.batch(0)
    with torch.no_grad():
        painted = made.forward(batch)
        found = made.losses("generators", batch, painted)
        judged = made.losses("discriminators", batch, painted)
        wanted = {
            "gan_b": (judge_b(there(batch.a)) - 1).square().mean(),
            "gan_a": (judge_a(back(batch.b)) - 1).square().mean(),
            "cycle_a": 6 * l1_loss(back(there(batch.a)), batch.a),
            "cycle_b": 6 * l1_loss(there(back(batch.b)), batch.b),
            "identity_b": 1.5 * l1_loss(there(batch.b), batch.b),
            "identity_a": 1.5 * l1_loss(back(batch.a), batch.a),
        }
        assert list(found) == list(wanted)
        for name, value in wanted.items():
            assert float(found[name]) == pytest.approx(float(value), rel=1e-4), name
        for name, judge, real, fake in (
            ("gan_b", judge_b, batch.b, painted.b),
            ("gan_a", judge_a, batch.a, painted.a),
        ):
            value = 0.5 * ((judge(real) - 1).square().mean() + judge(fake).square().mean())
            assert float(judged[name]) == pytest.approx(float(value), rel=1e-4)


@pytest.mark.parametrize(
    ("line", "left_out"),
    [("identity = 0", "identity"), ("cycle = 0", "cycle"), ("cycle = 0", "identity")],
)
def test_terms_of_weight_0_are_left_out(task: Make, line: str, left_out: str) -> None:
    made = task(line)
    terms = made.losses("generators", made.batch(0), made.forward(made.batch(0)))
    assert terms and not any(name.startswith(left_out) for name in terms)


@pytest.mark.parametrize(
    ("group", "reached"), [("generators", GENERATORS), ("discriminators", DISCRIMINATORS)]
)
def test_gradients_reach_the_nets_of_the_group_only(
    task: Make, group: str, reached: set[str]
) -> None:
    found = small_originals.gradients_of(task(), group)
    assert {name for name, yes in found.items() if yes} == reached


def test_each_discriminator_judges_the_pictures_of_its_own_domain(task: Make) -> None:
    made = still(task("pool = 0"))
    batch = made.batch(0)
    painted = made.forward(batch)
    before = made.losses("discriminators", batch, painted)
    other = Batch(batch.a + 0.5, batch.b, batch.rng)
    after = made.losses("discriminators", other, painted)
    assert torch.equal(before["gan_b"], after["gan_b"])
    assert not torch.equal(before["gan_a"], after["gan_a"])


def test_discriminators_are_shown_pictures_of_the_pool(task: Make) -> None:
    made = task("pool = 2")
    small_originals.run(made)
    assert {name: len(pool) for name, pool in made.memories.items()} == {"pool_b": 2, "pool_a": 2}


def test_without_settings_training_is_that_of_the_authors(task: Make) -> None:
    made = task(stages="")
    assert made.steps == 200 * 7
    for group in made.groups.values():
        assert (group.learning_rate, group.betas) == (2e-4, (0.5, 0.999))
        assert [group.schedule(p) for p in (0.0, 0.5, 0.75, 1.0)] == [1.0, 1.0, 0.5, 0.0]
    assert list(made.groups) == ["generators", "discriminators"]
    assert {average.decay for average in made.averages.values()} == {0.0}
    assert (made._settings.cycle, made._settings.identity, made._settings.pool) == (10, 0.5, 50)
    assert made.batch(0).a.shape == (1, 3, 32, 32)


def test_ranges_of_input_and_output_may_differ(task: Make) -> None:
    """A generator that takes 0..255 and gives -1..1 is fed what the other one paints."""
    net = (
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self, inputs):\n"
        "        super().__init__()\n"
        "        self.gain = nn.Conv2d(3, 3, 1)\n"
        "    def forward(self, image):\n"
        "        return image / 127.5 - 1 + 0 * self.gain(image)\n"
    )
    made = task(input_range="[0, 255]", nets=net)
    batch = made.batch(0)
    painted = made.forward(batch)
    torch.testing.assert_close(painted.b, batch.a, atol=1e-5, rtol=0)
    torch.testing.assert_close(painted.back_a, batch.a, atol=1e-5, rtol=0)


def test_a_run_leaves_both_generators_and_a_sheet(task: Make, tmp_path: Path) -> None:
    task()  # writes the recipe
    recipe = small_originals.load_recipe(tmp_path)
    written = original.train(recipe, tmp_path / "run", data=tmp_path / "data")
    assert written == tmp_path / "run/generator.onnx"
    outputs = []
    for name in ("generator", "generator_back"):
        file = tmp_path / f"run/{name}.onnx"
        assert read_known(onnx.load(file), str(file)).pixels == recipe.pixels
        zeros = np.zeros((1, 3, 32, 32), np.float32)
        outputs.append(open_plain(file).run(None, {"input": zeros})[0])
    assert outputs[0].shape == (1, 3, 32, 32) and not np.allclose(*outputs)
    with Image.open(tmp_path / "run/samples/step-000006.png") as sheet:
        assert sheet.width > 5 * 32
    state = torch.load(tmp_path / "run/state.pt", weights_only=True)
    assert set(state["memories"]) == {"pool_b", "pool_a"}


def test_what_is_shown_is_painted_by_the_nets_that_are_given(task: Make) -> None:
    made = task()
    nets = {name: copy.deepcopy(made.nets[name]).eval() for name in GENERATORS}
    columns = made.show(nets)
    assert list(columns) == ["A", "A to B", "and back", "B", "B to A"]
    picture = torch.from_numpy(columns["A"][1].transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        wanted = nets["generator_back"](nets["generator"](picture / 127.5 - 1))[0]
    found = columns["and back"][1].transpose(2, 0, 1) / 127.5 - 1
    np.testing.assert_allclose(found, wanted.numpy(), atol=0.005)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("l1 = 1", r"unknown key train\.l1; known: .*cycle"),
        ("pool = -1", r"train\.pool: .*-1"),
        ("cycle = -1", r"train\.cycle: .*-1"),
        ("learning_rate = 0", r"train\.learning_rate"),
        ("ema = 1.0", r"train\.ema"),
        ('data = { layout = "side-by-side" }', r"train\.data\.layout: side-by-side holds pairs"),
    ],
)
def test_settings_that_cannot_be_meant(task: Make, line: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message) as raised:
        task(line)
    assert "\n" not in str(raised.value)


def test_what_does_not_take_pictures_is_refused(task: Make) -> None:
    colours = small_originals.ONE_HOT + '\nencoding = "colours"'
    for recipe in ({"channels": 1}, {"labels": colours}):
        with pytest.raises(BadInputError, match=r"needs an input of 3 channels, and no \[pixels"):
            task(**recipe)


def test_pictures_smaller_than_the_crops_are_refused(task: Make) -> None:
    for stage in ("crop = 48, steps = 1", "crop = 48, epochs = 1"):
        with pytest.raises(BadInputError, match=r"0\.png: a 40x40 image is too small for 48x48"):
            task(stages=f"stages = [{{ {stage} }}]")
    task(stages="stages = [{ crop = 48, load = 50, steps = 1 }]")


def test_folders_of_pairs_are_told_apart(tmp_path: Path) -> None:
    recipe = small_originals.write_recipe(tmp_path, "unpaired")
    data = small_originals.write_data(tmp_path / "data", "paired")
    with pytest.raises(BadInputError, match=r"looked for trainA and trainB.*; found test/, train/"):
        open_task(recipe, data, Processes())


def resume_in_two_processes(folder: Path) -> None:
    """Train for a while, and open the state again; in each process."""
    processes = Processes()

    def engine() -> Engine:
        task = open_task(small_originals.load_recipe(folder), folder / "data", processes)
        return Engine(task, Budget(steps=4), processes, state_file=folder / "state.pt")

    first = engine()
    first.run()
    processes.wait()
    again = engine()
    assert again.resume() and again.step == 4
    pools = {
        name: [pool.state_dict()["pictures"] for pool in each.task.memories.values()]
        for name, each in (("mine", first), ("again", again))
    }
    torch.save(pools, folder / f"{processes.rank}.pt")


def test_each_process_resumes_with_its_own_pool(task: Make, tmp_path: Path) -> None:
    task("pool = 3")
    together(__name__, "resume_in_two_processes", tmp_path)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for found in ranks:
        assert all(len(pool) == 3 for pool in found["mine"])
        for mine, again in zip(found["mine"], found["again"], strict=True):
            assert all(torch.equal(*both) for both in zip(mine, again, strict=True))
    assert not torch.equal(ranks[0]["mine"][0][0], ranks[1]["mine"][0][0])
