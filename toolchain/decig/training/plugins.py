"""Finding a task or a method by its name: a module that is imported only when it is asked for."""

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType

from decig.errors import BadInputError


def find_module(name: str, package: str, what: str) -> ModuleType:
    """Import a module by its name.

    Args:
        name: of a module of the package, such as "paired"; with a dot in it, of any module that
            can be imported, such as "my_package.my_task".
        package: where modules without a dot in their name are looked for.
        what: what such a module is, for messages: "task", "method".

    Raises:
        BadInputError: there is no such module; the message lists those of the package.
    """
    full = name if "." in name else f"{package}.{name}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{full}.".startswith(f"{error.name}."):
            raise  # the module is there, and imports something that is not
        known = ", ".join(modules_in(package))
        raise BadInputError(f"no {what} is called {name!r}; known: {known}") from error


def modules_in(package: str) -> list[str]:
    """Names of the modules in a package."""
    paths: Iterable[str] = importlib.import_module(package).__path__
    return sorted(module.name for module in pkgutil.iter_modules(paths))
