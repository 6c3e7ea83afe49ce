"""Code blocks of the pages: where they stand, what they are, and what their info string says."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))

_CALLS = re.compile(r"(?:[A-Z_]+=\S+ )?(?:\.venv\S*/bin/)?(?:decig|make|pip|python3?|torchrun)\b")
"""How an indented block begins that is for a shell."""
_BEFORE = r"(?:^|[|;(&]|\bdo|\bthen|-m)\s*(?:\S*/)?"
"""What may stand before the name of a program that is called."""
_ENDS = re.compile(r"\s*(?:\|\||&&|[;|<>])")
"""What ends a command of a shell within its line."""


@dataclass(frozen=True)
class Block:
    """A code block.

    Attributes:
        line: of the page, counted from 1.
        language: first word of its info string. A block that has none, such as an indented one, is
            "sh" if it begins like a command, and else "text".
        notes: the other words.
        text: its content.
    """

    line: int
    language: str
    notes: tuple[str, ...]
    text: str


def blocks(page: Path) -> list[Block]:
    """All code blocks of a page, in order."""
    found = []
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type in ("fence", "code_block"):
            indented = "sh" if _CALLS.match(token.content) else "text"
            language, *notes = token.info.split() or [indented]
            line = (token.map or [0])[0] + 1
            found.append(Block(line, language, tuple(notes), token.content))
    return found


def typed(session: str) -> str:
    """What is typed in a `console` block: its lines behind "$ ", with those that continue them."""
    calls = re.findall(r"(?m)^\$ ((?:.*\\\n)*.*\n)", session)
    return "".join(calls)


def commands(text: str, program: str) -> list[list[str]]:
    """Arguments of every call of a program in a shell block."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        for place in re.finditer(rf"{_BEFORE}\b{re.escape(program)}(?=\s|$)", line):
            call = line[place.end() :]
            if not line.strip().startswith("#"):
                found.append(shlex.split(_until_its_end(call)))
    return found


def _until_its_end(text: str) -> str:
    """A command up to where a pipe or another command follows; quotes are respected."""
    lexer = shlex.shlex(text, posix=False, punctuation_chars=True)
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if _ENDS.fullmatch(word) or set(word) <= set("();<>|&"):
            break
        words.append(word)
    return " ".join(words)
