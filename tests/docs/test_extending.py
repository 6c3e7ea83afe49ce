"""The pages of docs/extending quote code that runs: word for word, from the file that they name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "models/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_QUOTE = re.compile(r"(?ms)^( *)```\w+ file=(\S+)\n(.*?)^ *```$")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_MENTIONED = re.compile(r"`((?:toolchain|tests|models|benchmarks)/[\w./-]+)`")


def test_there_are_pages_with_quotes():
    assert {"operator", "rewrite", "provider", "task", "method", "generator"} <= {
        page.stem for page in PAGES if _QUOTE.search(page.read_text())
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_quoted_stands_in_the_file(page):
    for _, file, code in _QUOTE.findall(page.read_text()):
        lines = [line.strip() for line in code.splitlines() if line.strip()]
        found = [line.strip() for line in (ROOT / file).read_text().splitlines() if line.strip()]
        places = [i for i, line in enumerate(found) if line == lines[0]]
        assert any(found[i : i + len(lines)] == lines for i in places), f"{file}: {lines[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_files_are_there(page):
    text = _QUOTE.sub("", page.read_text())
    for link in _LINK.findall(text):
        assert (page.parent / link).exists(), link
    for path in _MENTIONED.findall(text):
        assert (ROOT / path).exists(), path
