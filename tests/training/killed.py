"""Runs that are killed while they train, and what they do when they go on.

Training is deterministic: a run that begins again ends like one that went on. So the tests look at
the steps that are taken, too.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from decig.progress import Progress
from decig.training.loop import engine as engine_module
from decig.training.loop.engine import Engine


def save_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let engines save their state before every step, however little time has passed."""
    monkeypatch.setattr(engine_module, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(engine_module, "SAVING_SHARE", 1e9)


def kill_in(step: str, share: float = 0.4) -> Progress:
    """Progress that ends the program as `kill -9` does, so that nothing more is saved.

    Args:
        step: of a method, in which that happens.
        share: of the step, from 0 to 1, at which it happens at the earliest.
    """

    def kill(name: str, done: float, _: dict[str, float]) -> None:
        if name == step and done >= share:
            raise RuntimeError("killed")

    return kill


def saved_step(state: Path) -> int:
    """Steps that a saved state has behind it."""
    step: int = torch.load(state, weights_only=True)["step"]
    return step


def first_steps(run: Callable[[], Any]) -> dict[str, int]:
    """Run something; returns the step that each engine began with, by the name of its state file.

    Engines that took no step are not among them.
    """
    found: dict[str, int] = {}
    update = Engine._update

    def watched(engine: Engine, progress: float) -> dict[str, float]:
        assert engine.state_file is not None
        found.setdefault(engine.state_file.name, engine.step)
        return update(engine, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "_update", watched)
        run()
    return found


def require_going_on(run: Callable[[], Any], state: Path, *, after: int = 1) -> None:
    """See that a run goes on in the step at which it was killed, and trains nothing before again.

    Args:
        run: resumes it.
        state: the file that the step had saved.
        after: more steps than these must lie behind the state. By the first one, whatever a part
            or a task remembers may still be as it began.
    """
    step = saved_step(state)
    assert step > after
    assert next(iter(first_steps(run).items())) == (state.name, step)
