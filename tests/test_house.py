"""What CONTRIBUTING.md and setup.cfg say of the folders is what there is."""

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
    named = [name for cell in table for name in re.findall(r"`(\w+)/?`", cell)]
    assert sorted(named[-5:]) == sorted(floors()[-5:])
    assert named[:-5] == floors()[:-5]
