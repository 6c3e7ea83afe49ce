"""The same table predicts the same, whatever the processor.

Processors differ in the kernels by which BLAS multiplies matrices, and so in the last bit of every
product. OpenBLAS takes the kernels of another processor where OPENBLAS_CORETYPE names it.
"""

from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from decig.device.cost.designs import first_designs
from decig.device.cost.predict import Predictor
from decig.device.cost.table import CostTable, SweepPoint
from decig.device.plan.planner import plan_widths
from tests.device.tables import GROUPS, latency, make_table, true_nodes

PROCESSORS = ("Haswell", "SkylakeX", "Zen", "Prescott")
PROFILES = Path(__file__).parents[2] / "profiles"
AGREED = 0.005
"""Share by which predictions may differ between processors."""
INSIDE = {"stem": 0.9, "norm": 0.4, "mid": 0.75, "skip": 1.2, "head": 0.8}
"""What layers take inside a graph for each microsecond that they take alone."""


@dataclass(frozen=True)
class Figures:
    """What one processor's kernels make of a table, for plans of all sizes.

    Attributes:
        us: predicted latencies.
        doubt: their standard deviations, as shares.
        candidates: widths worth planning with, by group.
        plans: widths planned for several speed-ups; of small models, where that is quick.
    """

    us: np.ndarray
    doubt: np.ndarray
    candidates: dict[str, list[int]]
    plans: list[dict[str, int]]


def exact(profiled: int, wholes: int = 0) -> CostTable:
    """A table without noise: designs with all nodes, then others of which only the whole was timed.

    The fewer designs, the more fits there are that miss by nothing but rounding.
    """
    designs = [*first_designs(GROUPS, profiled), *first_designs(GROUPS, wholes, seed=5)]
    points = []
    for index, widths in enumerate(designs):
        nodes = true_nodes(widths)
        us = 300.0 + sum((INSIDE[name] if wholes else 1.0) * us for name, us in nodes.items())
        points.append(SweepPoint(widths, latency(us), nodes if index < profiled else {}))
    whole = points[0].latency_us
    return replace(make_table(), sweep=points, latency_us=whole, timed_alone=wholes > 0)


def measured(file: str) -> CostTable:
    """A table that was taken on a real device, cut short."""
    table = CostTable.load(PROFILES / file)
    return replace(table, sweep=table.sweep[:20])


TABLES = {
    "exact, 8 designs": exact(8),
    "exact, 12 designs": exact(12),
    "exact, 12 designs and wholes": exact(12, 20),
    "exact, 26 designs": make_table(),
    "cpu": measured("epyc-cpu-1.json"),
    "openvino": measured("epyc-openvino-1.json"),
}


def figures() -> tuple[str, dict[str, Figures]]:
    """Fit every table; say with which kernels."""
    found = {}
    for name, table in TABLES.items():
        predictor = Predictor(table)
        designs = first_designs(table.groups, 60, seed=7)
        rows = np.array([[widths[group] for group in predictor.groups] for widths in designs])
        loss = {group: np.linspace(count, 0, count + 1) for group, count in table.groups.items()}
        speedups = (1, 2, 4) if table.groups == GROUPS else ()
        found[name] = Figures(
            predictor.predict_many(rows),
            predictor.doubt(rows),
            predictor.candidates,
            [plan_widths(predictor, loss, predictor.baseline_ms / each) for each in speedups],
        )
    kernels = {f"{lib['internal_api']} {lib.get('architecture')}" for lib in threadpool_info()}
    return ", ".join(sorted(kernels)), found


@pytest.fixture(scope="module")
def by_kernels() -> dict[str, dict[str, Figures]]:
    """Figures of all tables by the kernels that made them, at least two."""
    found = {}
    for processor in PROCESSORS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENBLAS_CORETYPE", processor)
            # Kernels are chosen when a process starts. Those that this processor cannot run end it.
            with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
                try:
                    kernels, fitted = fresh.submit(figures).result()
                except BrokenProcessPool:
                    continue
        found[kernels] = fitted
    if len(found) < 2:
        pytest.skip(f"OPENBLAS_CORETYPE changes nothing here; the kernels are {list(found)}")
    return found


@pytest.mark.parametrize("name", TABLES)
def test_predictions_do_not_depend_on_the_processor(by_kernels, name):
    one, *others = (found[name] for found in by_kernels.values())
    for other in others:
        np.testing.assert_allclose(other.us, one.us, rtol=AGREED)
        np.testing.assert_allclose(other.doubt, one.doubt, rtol=AGREED)


@pytest.mark.parametrize("name", TABLES)
def test_plans_do_not_depend_on_the_processor(by_kernels, name):
    one, *others = (found[name] for found in by_kernels.values())
    for other in others:
        assert other.candidates == one.candidates
        assert other.plans == one.plans
