import copy
from pathlib import Path

import numpy as np
import pytest

from decig.data.pixels import PixelFormat
from decig.errors import BadInputError
from decig.graph.model import initializers, replace_initializers
from decig.quality.metrics import psnr, ssim
from decig.repair.activations import run_graph
from decig.training.compression.judge import Judge
from tests.threads import FREE, watch_threads
from tests.training.tiny import tiny_generator

PIXELS = PixelFormat((0.0, 1.0), (0.0, 1.0))


def inputs(size: int = 32) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"input": rng.random((1, 3, size, size), np.float32)} for _ in range(3)]


def damaged(share: float):
    proto = copy.deepcopy(tiny_generator())
    weight = initializers(proto)["c2.weight"]
    noise = np.random.default_rng(1).normal(0, share * weight.std(), weight.shape)
    replace_initializers(proto, {"c2.weight": (weight + noise).astype(np.float32)})
    return proto


def test_the_teacher_is_like_itself_and_others_the_less_the_more_they_differ() -> None:
    judge = Judge(tiny_generator(), inputs(), PIXELS)
    assert judge.ssim(tiny_generator()) == pytest.approx(1)
    figures = [judge.ssim(damaged(share)) for share in (0.1, 0.5, 2.0)]
    assert 1 > figures[0] > figures[1] > figures[2]


def test_the_figure_is_the_mean_over_the_images() -> None:
    other = damaged(1.0)
    pictures = [PIXELS.to_unit(run_graph(proto, inputs())) for proto in (tiny_generator(), other)]
    each = [float(np.mean(ssim(a[None], b[None]))) for a, b in zip(*pictures, strict=True)]
    assert max(each) - min(each) > 1e-4
    found = Judge(tiny_generator(), inputs(), PIXELS).ssim(other)
    assert found == pytest.approx(np.mean(each), abs=1e-6)


def test_the_first_inputs_alone_are_judged_without_painting_again() -> None:
    judge, other = Judge(tiny_generator(), inputs(), PIXELS), damaged(1.0)
    for count in (1, 2, 9):
        part = judge.first(count)
        assert len(part.expected) == min(count, 3)
        expected = Judge(tiny_generator(), inputs()[:count], PIXELS).likeness(other)
        assert part.likeness(other) == expected
    assert len(judge.expected) == 3


def test_it_paints_on_the_threads_that_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = watch_threads(monkeypatch)
    Judge(tiny_generator(), inputs(), PIXELS).ssim(tiny_generator())
    assert opened == [FREE, FREE]


def test_likeness_has_both_figures() -> None:
    judge, other = Judge(tiny_generator(), inputs(), PIXELS), damaged(0.5)
    found = judge.likeness(other)
    a, b = (PIXELS.to_unit(run_graph(proto, inputs())) for proto in (tiny_generator(), other))
    assert found.ssim == judge.ssim(other) < 1
    assert found.psnr_db == pytest.approx(psnr(a, b), abs=1e-3)
    assert judge.likeness(tiny_generator()).psnr_db == pytest.approx(100)


def test_what_does_not_fit_the_graph_is_one_line() -> None:
    with pytest.raises(BadInputError, match="cannot run the model on input 1x3x16x16"):
        Judge(tiny_generator(), inputs(16), PIXELS)


def test_the_picture_is_found_among_several_outputs(tmp_path: Path) -> None:
    proto = tiny_generator()
    proto.graph.output.insert(0, next(v for v in proto.graph.value_info if v.name == "n2"))
    assert Judge(proto, inputs(), PIXELS).ssim(tiny_generator()) == pytest.approx(1)
