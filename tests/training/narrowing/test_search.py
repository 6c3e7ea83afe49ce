import json
from pathlib import Path

import numpy as np
import pytest

from decig.device.cost.predict import Predictor
from decig.training.narrowing.search import Lattice, Scores, Widths, search_widths
from tests.training.small import small
from tests.training.tiny import tiny_generator

NARROW, WIDE = {"c1": 4, "c2": 4}, {"c1": 32, "c2": 32}
FIRST = {"c1": 16, "c2": 16}


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder: Path = tmp_path_factory.mktemp("model")
    return small(folder, tiny_generator(size=48, width=32)).goal.target.predictor


@pytest.fixture
def lattice(predictor: Predictor) -> Lattice:
    return Lattice.between(predictor, [NARROW, FIRST, WIDE])


def value(widths: Widths) -> float:
    """Channels of c1 count double."""
    return 2 * np.log(widths["c1"]) + np.log(widths["c2"])


def test_the_lattice_has_the_plans_and_what_is_worth_planning_with(
    lattice: Lattice, predictor: Predictor
) -> None:
    for plan in (NARROW, FIRST, WIDE):
        assert lattice.widths(lattice.levels(plan)) == plan
        (found,) = lattice.predicted_ms(lattice.levels(plan))
        assert found == pytest.approx(predictor.predict_ms(plan))
    assert set(lattice.choices["c1"]) - {4, 16, 32} <= set(predictor.candidates["c1"])
    assert Lattice.between(predictor, [FIRST]).choices == {"c1": [16], "c2": [16]}


def test_plans_are_drawn_in_a_band_of_latency(lattice: Lattice) -> None:
    limit = float(lattice.predicted_ms(lattice.levels(FIRST))[0])
    drawn = lattice.draw(10, (0.9 * limit, limit), np.random.default_rng(0))
    latency = lattice.predicted_ms(drawn)
    assert len(drawn) == 10 == len({tuple(row) for row in drawn})
    assert ((latency >= 0.9 * limit) & (latency <= limit)).all()
    assert len(lattice.draw(10, (1e6, 2e6), np.random.default_rng(0))) == 0


def search(lattice: Lattice, scores: Scores, **options: int) -> dict[str, int]:
    limit = float(lattice.predicted_ms(lattice.levels(FIRST))[0])
    asked = {"plans": 80, "population": 12, "seed": 0} | options
    return search_widths(lattice, FIRST, limit, scores, **asked)


def test_it_finds_a_better_plan_that_is_as_fast(lattice: Lattice, tmp_path: Path) -> None:
    scored: list[Widths] = []

    def score(widths: Widths) -> float:
        scored.append(widths)
        return value(widths)

    found = search(lattice, Scores(score, tmp_path / "scores.json"))
    limit = float(lattice.predicted_ms(lattice.levels(FIRST))[0])
    assert scored[0] == FIRST and len(scored) <= 80
    assert all(lattice.predicted_ms(lattice.levels(w))[0] <= limit * 1.0001 for w in scored)
    assert value(found) == max(map(value, scored)) > value(FIRST)
    assert found["c1"] > found["c2"]
    every = np.stack(np.meshgrid(*(np.arange(top + 1) for top in lattice.tops)), -1).reshape(-1, 2)
    fits = every[lattice.predicted_ms(every) <= limit]
    best = max(value(lattice.widths(row)) for row in fits)
    assert value(found) > best - 0.15


def test_a_search_that_was_stopped_goes_on_with_its_scores(
    lattice: Lattice, tmp_path: Path
) -> None:
    asked: list[Widths] = []

    def score(widths: Widths) -> float:
        if len(asked) == 20:
            raise RuntimeError("killed")
        asked.append(widths)
        return value(widths)

    file = tmp_path / "scores.json"
    with pytest.raises(RuntimeError, match="killed"):
        search(lattice, Scores(score, file))
    assert len(json.loads(file.read_text())) == 20
    more: list[Widths] = []
    scores = Scores(lambda widths: more.append(widths) or value(widths), file)
    whole = search(lattice, Scores(value, tmp_path / "other.json"))
    assert search(lattice, scores) == whole
    assert more and not any(plan in asked for plan in more)


def test_it_ends_when_enough_was_scored(lattice: Lattice, tmp_path: Path) -> None:
    scores = Scores(value, tmp_path / "few.json")
    search(lattice, scores, plans=5)
    assert len(scores.known) == 5
    limit = float(lattice.predicted_ms(lattice.levels(FIRST))[0])
    at_once = Scores(value, tmp_path / "one.json")
    options = {"plans": 9, "population": 5, "seed": 0}
    found = search_widths(lattice, FIRST, limit, at_once, enough=lambda: True, **options)
    assert found == FIRST and len(at_once.known) == 1


def test_where_there_is_no_choice_the_first_plan_stays(
    predictor: Predictor, tmp_path: Path
) -> None:
    alone = Lattice.between(predictor, [FIRST])
    assert search(alone, Scores(value, tmp_path / "scores.json")) == FIRST
