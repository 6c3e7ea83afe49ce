import re
from xml.etree import ElementTree

import pytest

pytest.importorskip("matplotlib")

from decig.report.canvas import GOOD, INK, MUTED, ONE, SMALL, TWO, canvas, inline, standalone


def colours(text: str) -> set[str]:
    return set(re.findall(r"#[0-9a-fA-F]{6}\b", text))


def drawn(write):
    with canvas(SMALL) as (figure, axes):
        for place, colour in enumerate((INK, MUTED, ONE, TWO, GOOD)):
            axes.plot([0, 1], [0, place], color=colour)
        axes.set_title("a $b$ & c")
        return write(figure)


def test_a_file_of_its_own_has_fixed_colours_and_is_the_same_every_time():
    text = drawn(standalone)
    assert ElementTree.fromstring(text).tag.endswith("}svg")
    assert "var(" not in text and ">a $b$ &amp; c<" in text
    # Five lines, the grid, and matplotlib's white behind and black for what is drawn nowhere.
    assert len(colours(text) - {"#ffffff", "#000000"}) == 6
    assert not colours(text) & {INK, MUTED, ONE, TWO, GOOD}
    assert drawn(standalone) == text


def test_part_of_a_page_takes_the_colours_of_the_page():
    text = drawn(lambda figure: inline(figure, "curves"))
    assert {"--ink", "--muted", "--one", "--two", "--good"} <= set(re.findall(r"--\w+", text))
    assert not colours(text) & {INK, MUTED, ONE, TWO, GOOD}
