"""The site builds without a warning, and holds every page of docs/."""

import subprocess
import sys

import pytest

from tests.docs.blocks import PAGES, ROOT

pytest.importorskip("myst_parser", reason="needs the extra docs")


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    built = tmp_path / "site"
    options = ("--quiet", "--fail-on-warning", "--keep-going", "-c", "docs/site")
    program = [sys.executable, "-m", "sphinx", *options, ".", str(built)]
    made = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert "0; url=docs/README.html" in (built / "index.html").read_text("utf-8")
    for page in PAGES:
        assert (built / page.relative_to(ROOT)).with_suffix(".html").is_file(), page
