"""Advice where an optional part of the installation is missing."""

import pytest

from decig.errors import BadInputError
from decig.extras import needs_torch


def test_a_missing_package_of_training_is_named():
    advice = "decig compress needs nosuch: pip install"
    with pytest.raises(BadInputError, match=advice), needs_torch("decig compress"):
        import nosuch  # noqa: F401


def test_a_missing_module_of_decig_is_our_own_fault():
    with pytest.raises(ModuleNotFoundError), needs_torch("decig compress"):
        import decig.nosuch  # noqa: F401
