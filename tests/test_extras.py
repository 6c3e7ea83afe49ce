"""Advice where an optional part of the installation is missing."""

import pytest

from decig import extras
from decig.errors import BadInputError
from decig.extras import missing, needs_torch, require, require_training


def test_a_missing_package_of_training_is_named():
    advice = "decig compress needs nosuch: pip install"
    with pytest.raises(BadInputError, match=advice), needs_torch("decig compress"):
        import nosuch  # noqa: F401


def test_a_missing_module_of_decig_is_our_own_fault():
    with pytest.raises(ModuleNotFoundError), needs_torch("decig compress"):
        import decig.nosuch  # noqa: F401


def test_a_missing_module_of_an_optional_part_is_named_before_it_is_imported():
    assert missing(("json", "nosuch", "neither")) == "nosuch"
    assert missing(("json", "csv")) is None
    with pytest.raises(BadInputError, match=r"^--x needs nosuch: pip install 'decig\[part\]'$"):
        require("--x", "part", ("json", "nosuch"))
    require("--x", "part", ("json",))


def test_training_needs_pytorch_first(monkeypatch):
    monkeypatch.setattr(extras, "_found", lambda _: True)
    require_training("decig train")
    monkeypatch.setattr(extras, "_found", lambda _: False)
    with pytest.raises(BadInputError, match=r"^decig train needs torch: pip install 'decig\[train"):
        require_training("decig train")
