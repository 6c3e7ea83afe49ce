from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from decig.device.cost.predict import Predictor
from decig.device.cost.terms import LatencyTerm
from decig.graph.channels import analyse
from decig.graph.plan import FLOOR
from decig.training.narrowing.latents import LatentModule
from decig.training.narrowing.shrinking import Shrinking
from decig.training.trainable.module import build_module
from tests.training.small import small
from tests.training.tiny import tiny_generator


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder: Path = tmp_path_factory.mktemp("model")
    return small(folder, tiny_generator(size=48, width=16)).goal.target.predictor


@pytest.fixture
def shrinking(predictor: Predictor) -> Shrinking:
    proto = tiny_generator(size=48, width=16)
    channels = analyse(proto)
    made = LatentModule(
        build_module(proto), channels, {n: np.linspace(1, 0.2, 16) for n in ("c1", "c2")}
    )
    shrinking = Shrinking(made, channels, predictor)
    shrinking.module = made  # type: ignore[attr-defined]
    return shrinking


class Stairs:
    """Latency with one stair below the whole of each group; see `WidthCost`."""

    groups = {"c1": 16, "c2": 16}  # noqa: RUF012
    candidates = {"c1": (8, 16), "c2": (4, 16)}  # noqa: RUF012

    def predict_many(self, widths: np.ndarray) -> np.ndarray:
        return 100 + 80.0 * (widths[:, 0] > 8) + 24.0 * (widths[:, 1] > 4)

    def predict_ms(self, widths: Mapping[str, int]) -> float:
        whole = self.groups | dict(widths)
        return float(self.predict_many(np.array([[whole["c1"], whole["c2"]]]))[0]) / 1000

    def terms(self) -> Iterator[LatencyTerm]:
        yield LatencyTerm((0, 1), self.predict_many)


def test_a_step_is_that_of_the_equation() -> None:
    """z <- sign(z) max(|z| - rate s_g / a_g, 0), but for a floor of the largest latents."""
    proto = tiny_generator(size=48, width=16)
    channels = analyse(proto)
    first = {"c1": np.linspace(1, 0.2, 16), "c2": np.linspace(0.3, 0.1, 16)}
    module = LatentModule(build_module(proto), channels, first)
    module.latents.data[1::2] *= -1
    shrinking = Shrinking(module, channels, Stairs())
    # A channel of c1 saves 80 / 8 us, one of c2 24 / 12 us: 10 and 2, with a mean of 6.
    price = {"c1": (10 / 6) ** 0.25 / 0.6, "c2": (2 / 6) ** 0.25 / 0.2}
    shrinking.rate, share = 0.5, 0.5
    before = {name: z.double().numpy().copy() for name, z in module.by_group().items()}
    shrinking.step(share)
    for name, z in before.items():
        wanted = np.sign(z) * np.maximum(np.abs(z) - 0.5 * share * price[name], 0)
        kept = np.argsort(-np.abs(z))[:FLOOR]
        wanted[kept] = z[kept]
        assert 0 < np.count_nonzero(wanted == 0) < 16 - FLOOR
        np.testing.assert_allclose(module.by_group()[name].numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_latents_shrink_to_zero_and_stay_there(shrinking: Shrinking) -> None:
    latents = shrinking.module.latents
    latents.data[:16] = torch.linspace(-0.5, 0.9, 16)
    shrinking.module.note_sums()
    shrinking.rate = 0.05
    before = latents.detach().clone()
    shrinking.step()
    assert (latents.abs() <= before.abs()).all() and (latents * before >= 0).all()
    for _ in range(200):
        shrinking.step()
    # A floor of four channels stays in every group: the largest ones, as they are.
    assert shrinking.live() == {"c1": 4, "c2": 4, "c4": 3}  # c4 is the picture
    torch.testing.assert_close(latents[12:16], before[12:16])


def test_a_group_as_a_whole_grows_and_falls_by_the_proximal_step_alone(
    shrinking: Shrinking,
) -> None:
    """What the optimiser does to all latents of a group alike is undone; V can do that."""
    made = shrinking.module
    before = {name: z.clone() for name, z in made.by_group().items()}
    made.by_group()["c1"].mul_(0.3)
    made.by_group()["c2"][3] += 1.0
    changed = made.by_group()["c2"].clone()
    shrinking.step()  # at a rate of 0
    after = made.by_group()
    torch.testing.assert_close(after["c1"], before["c1"])
    assert after["c2"].sum() == pytest.approx(float(before["c2"].sum()))
    torch.testing.assert_close(after["c2"] / after["c2"].sum(), changed / changed.sum())
    shrinking.rate = 0.01
    shrinking.step()
    once = {name: z.clone() for name, z in made.by_group().items()}
    shrinking.rate = 0.0
    shrinking.step()
    for name, z in made.by_group().items():
        assert z.sum() < before[name].sum()
        torch.testing.assert_close(z, once[name])


def test_what_is_least_of_a_group_stays(predictor: Predictor) -> None:
    proto = tiny_generator(size=48, width=16)
    channels = analyse(proto)
    first = {name: np.linspace(1, 0.2, 16) for name in ("c1", "c2")}
    made = LatentModule(build_module(proto), channels, first)
    shrinking = Shrinking(made, channels, predictor, {"c1": 9, "c2": 30})
    shrinking.rate = 0.05
    for _ in range(200):
        shrinking.step()
    assert shrinking.live() == {"c1": 9, "c2": 16, "c4": 3}


def test_channels_that_save_more_time_shrink_faster(shrinking: Shrinking) -> None:
    # c1 makes the residual trunk, which two convolutions write and two read; c2 one each.
    shrinking.rate = 0.01
    before = {name: z.clone() for name, z in shrinking.module.by_group().items()}
    shrinking.step()
    after = shrinking.module.by_group()
    lost = {name: (before[name] - z).max().item() for name, z in after.items()}
    assert lost["c1"] > lost["c2"] > 0


def test_the_rate_is_that_which_reaches_the_wanted_latency(
    shrinking: Shrinking, predictor: Predictor
) -> None:
    for share in (0.8, 0.5):
        predicted = predictor.predict_ms(shrinking.live())
        wanted = share * predicted
        shrinking.steer(predicted, wanted)
        for _ in range(10):
            shrinking.step()
        assert predictor.predict_ms(shrinking.live()) == pytest.approx(wanted, rel=0.1)
    shrinking.steer(predicted=4.0, wanted=5.0)
    assert shrinking.rate == 0


def test_it_goes_on_where_it_stood(shrinking: Shrinking, predictor: Predictor) -> None:
    """What channels save is looked at now and then; a resumed run must not look earlier."""
    module = shrinking.module
    shrinking.steer(predictor.predict_ms(shrinking.live()), 0.5)
    for _ in range(8):
        shrinking.step()
    assert shrinking.live() != {"c1": 16, "c2": 16, "c4": 3}
    again = Shrinking(module, analyse(tiny_generator(size=48, width=16)), predictor)
    again.load_state_dict(shrinking.state_dict())
    before = module.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    shrinking.step()
    wanted = module.latents.detach().clone()
    module.load_state_dict(before)
    again.step()
    torch.testing.assert_close(module.latents.detach(), wanted, rtol=0, atol=0)
