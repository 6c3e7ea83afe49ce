"""README, tutorials and guides, walked from their first line to their last on small stand-ins.

Shell blocks run in their order in one shell, python blocks as scripts between them. What follows
such a block as `text` or `json` is its output: a JSON block may only have keys that the output has,
a text block only lines that it has, where numbers of several digits stand for any. In a `console`
block the lines behind "$ " run, and the keys in the others are looked for. Blocks that say
`setup` (installing) or `elsewhere` (on another machine, or with files that decig does not bring)
are read, and not run; test_blocks.py looks at their options. `tests.docs.standin` says what is done
to be quick.
"""

import json
import os
import re
import subprocess

import pytest

from tests.docs.blocks import PAGES, ROOT, TUTORIALS, Block, blocks, typed
from tests.docs.standin import WITHOUT_TORCH
from tests.docs.walks import furnish, walked

NOT_RUN = {"setup", "elsewhere"}
NO_TORCH = {"ci", "edge-box"}
"""Tutorials for readers who have not installed PyTorch."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)+(?:e[+-]?\d+)?|\d{2,}")
_WRITTEN = re.compile(r"> (\S+\.json)")
_END = "\x1e"


WALKED = [page for page in PAGES if walked(page.stem) and page.name != "README.md"]
WALKED.insert(0, ROOT / "README.md")


def test_every_page_for_readers_is_walked():
    """Whoever writes a page with commands says in tests/docs/walks.py which files it needs."""
    assert set(TUTORIALS) <= set(WALKED)
    for page in (ROOT / "docs/guides").glob("*.md"):
        assert page in WALKED or not any(_runs(block) for block in blocks(page)), page


@pytest.mark.slow
@pytest.mark.train
@pytest.mark.parametrize("page", WALKED, ids=lambda page: page.stem)
def test_a_page_works(page, tmp_path):
    furnish(tmp_path, page.stem)
    found = blocks(page)
    done = _walk([b for b in found if _runs(b)], tmp_path, without_torch=page.stem in NO_TORCH)
    output = ""
    for block in found:
        if _runs(block):
            output = done.pop(0)
            if block.language == "console":
                _has_shown_keys(output, block.text)
        elif block.language == "json":
            _has_keys(_object_in(output), json.loads(block.text), f"{page.name}:{block.line}")
        elif block.language == "text":
            _has_lines(output, block.text, f"{page.name}:{block.line}")
    assert not done


def _runs(block: Block) -> bool:
    return block.language in ("sh", "console", "python") and not NOT_RUN & set(block.notes)


def _walk(parts, home, *, without_torch):
    """Run blocks in one shell; returns what each of them wrote to standard output."""
    script = ["set -euo pipefail"]
    for number, block in enumerate(parts):
        if block.language == "python":
            (home / f"block{number}.py").write_text(block.text)
            script.append(f"python block{number}.py")
        else:
            text = typed(block.text) if block.language == "console" else block.text
            script += [text, *(f"cat {file}" for file in _WRITTEN.findall(block.text))]
        script.append(f"printf '{_END}'")
    search = f"{ROOT / 'toolchain'}{os.pathsep}{ROOT}"
    path = f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"
    surroundings = {**os.environ, "PYTHONPATH": search, "PATH": path, "PWD": str(home)}
    if without_torch:
        surroundings[WITHOUT_TORCH] = "1"
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=home,
        env=surroundings,
        capture_output=True,
        text=True,
    )
    *outputs, rest = ran.stdout.split(_END)
    assert ran.returncode == 0, f"{parts[len(outputs)].text}\n{rest}\n{ran.stderr}"
    return outputs


def _object_in(output):
    """The last JSON object that was printed."""
    return json.loads(output[output.index("{") :].strip().splitlines()[-1])


def _has_shown_keys(output, session):
    """Look for the keys of abbreviated JSON; names of channel groups differ, and have dots."""
    keys = set(re.findall(r'"(\w+)":', session))
    assert keys
    assert not [key for key in sorted(keys) if f'"{key}":' not in output]


def _has_keys(found, shown, where):
    """Look for the keys of JSON; names of channel groups differ, and have dots."""
    for key, value in shown.items():
        if "." in key:
            continue
        assert key in found, f"{where}: the output has no key {key!r}: {sorted(found)}"
        if isinstance(value, dict):
            _has_keys(found[key], value, f"{where}: {key}")


def _has_lines(output, shown, where):
    told = " ".join(output.split())
    for line in shown.splitlines():
        fixed = map(re.escape, _NUMBER.split(" ".join(line.split())))
        assert re.search(r"[\d.,e+-]+".join(fixed), told), f"{where}: not there: {line}\n{output}"
