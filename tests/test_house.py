"""What CONTRIBUTING.md and setup.cfg say of the folders is what there is."""

import ast
import configparser
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def floors() -> list[str]:
    """Folders and modules of the contract on imports, the highest first."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    layers = config["importlinter:contract:floors"]["layers"]
    return re.findall(r"decig\.(\w+)", layers)


def test_the_contract_holds_for_every_folder_and_module() -> None:
    package = ROOT / "toolchain" / "decig"
    found = {path.stem for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    private = {name for name in found if name.startswith("__")}
    assert sorted(floors()) == sorted(found - private)


def test_the_table_of_folders_has_the_order_of_the_contract() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    table = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = [re.findall(r"`(\w+)/?`", cell) for cell in table]
    *above, last = named
    order = [name for names in above for name in names]
    assert order == floors()[: len(order)]
    assert sorted(last) == sorted(floors()[len(order) :])


def test_text_is_read_and_written_in_one_encoding_whatever_the_locale() -> None:
    found = []
    for folder in ("toolchain", "benchmarks", "models", "profiles"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    given = {keyword.arg for keyword in node.keywords}
                    modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
                    text = node.func.attr in ("read_text", "write_text")
                    text |= node.func.attr == "open" and modes in (["r"], ["w"], ["a"])
                    if text and "encoding" not in given:
                        found.append(f"{path.name}:{node.lineno}")
    assert found == []


def test_what_is_not_timed_takes_the_threads_that_are_free() -> None:
    """A device of one thread is what the user asked for, or nothing: see `Device.for_work`."""
    found = []
    for path in sorted((ROOT / "toolchain" / "decig").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            one_thread = called == "Device.of" and not (node.args or node.keywords)
            unasked = called.endswith("InferenceSession") and path.name != "session.py"
            if one_thread or unasked:
                found.append(f"{path.name}:{node.lineno}: {called}")
    assert found == []
