"""Every message that docs/troubleshooting.md quotes stands in the code."""

import ast
import re

import pytest

from tests.docs.blocks import ROOT

PAGE = ROOT / "docs/troubleshooting.md"
QUOTES = re.findall(r"(?m)^\*\*`(.*)`\*\*$", PAGE.read_text("utf-8"))
_GAP = "…"
_LEAST = 12
"""Fewest characters of a quote that are not gaps: fewer would fit anything."""


def templates() -> set[str]:
    """Every text in the code, with a gap for what is filled in."""
    found = set()
    for path in (ROOT / "toolchain/decig").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(_gapped(node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = (getattr(part, "value", None) for part in node.values)
                texts = (part if isinstance(part, str) else _GAP for part in parts)
                found.add(_gapped("".join(texts)))
    return found


def _gapped(text: str) -> str:
    """A text with a gap for every place that `%` or `format` fills in; gaps in a row are one."""
    holes = re.sub(r"%(?:\.\d+)?[sdefgr]|\{\w*\}", _GAP, text)
    return re.sub(f"{_GAP}+", _GAP, holes)


@pytest.fixture(scope="module")
def known() -> set[str]:
    return templates()


def test_there_are_quotes():
    assert len(QUOTES) > 30
    assert len(set(QUOTES)) == len(QUOTES)


@pytest.mark.parametrize("quote", QUOTES)
def test_a_quoted_message_is_one_of_the_code(known, quote):
    assert len(quote.replace(_GAP, "")) >= _LEAST
    fits = [text for text in known if quote.strip(_GAP) in text]
    assert fits, f"no message of the code holds this: {quote}"


def test_a_message_that_is_not_in_the_code_would_be_found(known):
    assert not [text for text in known if "the moon is made of cheese" in text]
