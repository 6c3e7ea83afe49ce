"""The site of these pages: `make site` builds it into build/site, with warnings as errors."""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "toolchain"))

import decig  # noqa: E402

project = "decig"
author = "the authors of decig"
copyright = author  # noqa: A001
version = release = decig.__version__

# Pages link to each other across folders, so the source is the whole repository.
include_patterns = [
    "README.md",
    "CHANGES.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "models/**.md",
    "profiles/*.md",
    "benchmarks/**.md",
]
exclude_patterns = ["**/.venv*"]
root_doc = "docs/README"
extensions = ["myst_parser"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "sidebar_width": "240px", "show_powered_by": False}
html_show_sourcelink = False
html_extra_path = ["index.html"]

_CONTENTS = {
    "Start": ["../README", "concepts"],
    "Tutorials": [
        "tutorials/onnx-file",
        "tutorials/pytorch-checkpoint",
        "tutorials/ci",
        "tutorials/edge-box",
        "tutorials/comparing-methods",
    ],
    "Guides": [
        "guides/overview",
        "guides/models",
        "guides/from-data",
        "guides/compress",
        "guides/export",
        "guides/quality",
        "guides/own-networks",
        "ci/README",
        "guides/results",
    ],
    "Reference": [
        "commands",
        "settings",
        "api",
        "formats",
        "troubleshooting",
        "stability",
        "operators",
    ],
    "With it": [
        "../models/README",
        "../models/*/README",
        "../profiles/README",
        "../benchmarks/README",
    ],
    "Behind it": ["design", "extending/README", "experiments", "../CONTRIBUTING", "../CHANGES"],
}
"""The table of contents of the site; on GitHub, docs/README.md is the index."""


def add_contents(_: Any, page: str, source: list[str]) -> None:
    """Put the table of contents into pages that list others."""
    if page.startswith("benchmarks/results/"):
        source[0] = "---\norphan: true\n---\n\n" + source[0]  # they have no titles
    if page == root_doc:
        for title, pages in _CONTENTS.items():
            source[0] += _toctree(title, pages)
    elif page == "docs/extending/README":
        source[0] += _toctree("Extending", ["[a-z]*"])


def _toctree(title: str, pages: list[str]) -> str:
    listed = "\n".join(pages)
    return f"\n\n```{{toctree}}\n:hidden:\n:glob:\n:caption: {title}\n\n{listed}\n```\n"


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
