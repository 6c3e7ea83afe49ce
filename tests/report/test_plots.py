import re
from xml.etree import ElementTree

import pytest

from decig.records import Group, Member, Point, Search, Trial
from decig.report import plots

GROUP = Group(name="a<b>$x$&", channels=6, loss=[9.0, 4.0, 2.0, 1.0, 0.5, 0.2, 0.0], hinge=2)


def search(*measured: list[float]) -> Search:
    trials = [
        Trial(widths={"c": 4}, loss=1.0, predicted_ms=4.0, doubt=0.1, measured_ms=each, chosen=True)
        for each in measured
    ]
    return Search(target_ms=4.0, trials=trials)


def curve(count: int) -> list[Point]:
    return [
        Point(step=f"s{k % 2}", at=k / count, seconds=0.0, figures={"loss": 1.0 / (k + 1)})
        for k in range(count)
    ]


DRAWN = {
    "scores": lambda: plots.scores(GROUP, 3),
    "nothing cut": lambda: plots.scores(GROUP, 6),
    "one channel": lambda: plots.scores(Group(name="c", channels=1, loss=[1.0, 0.0]), 1),
    "no scores": lambda: plots.scores(Group(name="c", channels=3, loss=[0.0] * 4), 2),
    "planning": lambda: plots.planning(search([3.9, 4.2], [4.0])),
    "predicted": lambda: plots.planning(search([])),
    "training": lambda: plots.training(curve(2000), "loss"),
    "one point": lambda: plots.training(curve(1), "loss"),
    "frontier": lambda: plots.frontier(
        [
            Member(target="2x", measured_latency_ms=8.0, ssim=0.9),
            Member(target="4x", predicted_latency_ms=4.0, ssim=0.8),
            Member(target="8x"),
        ]
    ),
}


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_a_plot_can_stand_in_a_page(draw: "object") -> None:
    text = draw()  # type: ignore[operator]
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("}svg") and root.attrib["role"] == "img"
    assert root.attrib["aria-label"] and "viewBox" in root.attrib and "width" not in root.attrib
    assert not [each for each in root.iter() if each.tag.endswith("}style")]
    links = [v for each in root.iter() for n, v in each.attrib.items() if n.endswith("}href")]
    assert all(link.startswith("#") for link in links)
    ids = {each.attrib["id"] for each in root.iter() if "id" in each.attrib}
    assert {link[1:] for link in links} | set(re.findall(r"url\(#([^)]*)\)", text)) <= ids
    assert len(text) < 60_000


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_every_colour_is_one_of_the_page(draw: "object") -> None:
    colours = re.findall(r"#[0-9a-fA-F]{6}\b", draw())  # type: ignore[operator]
    assert set(colours) <= {"#000000"}, "matplotlib's default, which is drawn nowhere"


def test_names_of_groups_are_text_and_no_formula() -> None:
    root = ElementTree.fromstring(plots.scores(GROUP, 3))
    assert root.attrib["aria-label"] == "Scores of 6 channels of a<b>$x$&, 3 of them kept"


def test_two_plots_share_no_id() -> None:
    found = [set(re.findall(r' id="([^"]*)"', DRAWN["scores"]())) for _ in range(2)]
    assert found[0] and not found[0] & found[1]


def test_figures_that_never_change_are_not_drawn() -> None:
    points = [
        Point(step="a", at=k / 4, seconds=0, figures={"gap": k, "loss": 1.0 + k, "ssim": 0.9})
        for k in range(4)
    ]
    assert plots.figures_of(points) == ["loss", "gap"]
    assert plots.figures_of([]) == []
