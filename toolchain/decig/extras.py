"""Optional parts of the installation, such as decig[train], which brings PyTorch."""

import contextlib
import importlib.util
from collections.abc import Iterator, Sequence

from decig.errors import BadInputError

_TRAIN = ("torch", "accelerate", "filelock")
"""What every training needs of decig[train], the best known first."""


@contextlib.contextmanager
def needs_torch(what: str) -> Iterator[None]:
    """Turn a missing package of the extra decig[train] into advice on how to install it.

    Wrap the imports that need PyTorch in it.

    Args:
        what: the command or input that needs the package, such as "decig train".

    Raises:
        BadInputError: a package is missing; the message names it and the line that installs it.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("decig"):
            raise
        raise BadInputError(f"{what} needs {error.name}: pip install 'decig[train]'") from error


def require_training(what: str) -> None:
    """Check that PyTorch is there, and what trains with it, without importing it.

    Args:
        what: the command that needs it, such as "decig train".

    Raises:
        BadInputError: as for `require`.
    """
    require(what, "train", _TRAIN)


def missing(modules: Sequence[str]) -> str | None:
    """Return the first of these modules that is not installed; None if all are. Imports none."""
    return next((name for name in modules if not _found(name)), None)


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # an import hook says so
        return False


def require(what: str, extra: str, modules: Sequence[str]) -> None:
    """Check before anything expensive starts that an optional part of decig is installed.

    Args:
        what: what needs it, such as "--max-kid".
        extra: the optional part, such as "quality" for decig[quality].
        modules: top-level modules that it brings.

    Raises:
        BadInputError: a module is missing; the message names it and the line that installs it.
    """
    if (name := missing(modules)) is not None:
        raise BadInputError(f"{what} needs {name}: pip install 'decig[{extra}]'")
