"""setup.cfg names just what the package imports."""

import ast
import configparser
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {"PIL": "pillow", "google": "protobuf", "skimage": "scikit-image"}
"""Where a module is not called like what it is installed by."""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(section: str, option: str) -> set[str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "setup.cfg")
    lines = parser[section][option].split("\n")
    return {
        canonical(found.group()) for line in lines if (found := re.match(r"[A-Za-z][\w.-]*", line))
    }


def imported(*folders: Path) -> set[str]:
    """Distributions of all modules that files in these folders import."""
    modules: set[str] = set()
    for file in (file for folder in folders for file in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                modules.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    foreign = modules - set(sys.stdlib_module_names) - {"decig"}
    return {canonical(DISTRIBUTIONS.get(module, module)) for module in foreign}


def test_what_the_package_imports_is_declared():
    train = ROOT / "toolchain" / "decig" / "training"
    needed = declared("options", "install_requires")
    extras = {name: declared("options.extras_require", name) for name in ("train", "report")}
    assert imported(ROOT / "toolchain") == needed | extras["train"] | extras["report"]
    assert extras["train"] <= imported(train)
    assert extras["report"] <= imported(ROOT / "toolchain" / "decig" / "report")
