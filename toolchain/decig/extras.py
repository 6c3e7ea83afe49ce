"""Optional parts of the installation, such as decig[train], which brings PyTorch."""

import contextlib
from collections.abc import Iterator

from decig.errors import BadInputError


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
