"""Record what decig computes today, so that a restructure can be held to the same figures.

    python tests/golden/record.py OUT.json [--only NAME...] [--suite DIR] [--against GOLDEN.json]

Everything runs with one thread and through the `decig` command, which is found where setup.cfg
declares it; losses are seen by a hook on `torch.autograd.backward`. Beside these, only
`decig.graph.model.load_model` and `decig.graph.rewrite.apply` are used, so that modules may move
without a change here. Nothing is timed and nothing depends on a time.

The names of the recordings are `train/...`, `compress/...`, `plan/...` and `graph/...`; --only
takes names or parts up to a slash. --suite adds `suite/...`, the graphs of a folder of ONNX files,
and --real the recordings at the real crop size of models/facades-resunet, which take minutes.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import compare
import graphs
import identity
import runs
from place import ROOT, Place

MODELS = sorted(path.parent.name for path in (ROOT / "models").glob("*/recipe.toml"))
TABLES = sorted(path.stem for path in (ROOT / "profiles").glob("*.json"))
SPEEDUPS = (2, 4, 8, 16)
SMALL_SPEEDUPS = (1.5, 2, 3, 5)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "condense": {"settings": {"condense": 0.5}},
    "features": {"settings": {"features": 0.1}},
    "fold-norms": {"settings": {"fold": 0.5, "fold_tolerance": 0.008}, "fold_norms": True},
    "targets": {"targets": True},
}
"""Ways to compress, by what is asked beside a target."""

Recording = Callable[[Place], dict[str, Any]]


def recordings() -> dict[str, Recording]:
    """What is recorded from this repository alone, by name."""
    found: dict[str, Recording] = {
        f"train/{precision}": partial(
            runs.train, size=64, stages=runs.SMALL_CROPS, precision=precision, rate=2e-5
        )
        for precision in ("fp32", "bf16")
    }
    for name, options in KINDS.items():
        found[f"compress/{name}"] = partial(runs.compress_small, **options)
    found["plan/small/compress"] = partial(runs.plans_of_small, speedups=SMALL_SPEEDUPS)
    for table in TABLES:
        found[f"plan/{table}/slice"] = partial(graphs.plans, table=table, speedups=SPEEDUPS)
        found[f"plan/{table}/compress"] = partial(
            runs.plans_of_facades, table=table, speedups=SPEEDUPS
        )
    for name in MODELS:
        found[f"graph/{name}"] = partial(graphs.sliced, model=ROOT / "models" / name)
    return found


def of_suite(folder: Path) -> dict[str, Recording]:
    """The sliced and rewritten graphs of a folder of ONNX files."""
    files = sorted(folder.glob("*.onnx"))
    return {f"suite/{file.stem}": partial(graphs.sliced, model=file) for file in files}


def real() -> dict[str, Recording]:
    """The runs at the crop sizes of the recipe and of `decig compress`; they take minutes."""
    train = partial(runs.train, size=256, stages=runs.REAL_CROPS, precision="bf16")
    found: dict[str, Recording] = {"real/train": train}
    for name, options in KINDS.items():
        found[f"real/compress/{name}"] = partial(runs.compress_facades, **options)
    return found


def of_udnie(file: Path, table: Path) -> dict[str, Recording]:
    """Runs of another generator, with a cost table of its own."""
    return {
        f"real/udnie/{name}": partial(runs.compress_udnie, file=file, table=table, **options)
        for name, options in KINDS.items()
        if name != "targets"
    }


def record(wanted: dict[str, Recording], out: Path) -> dict[str, Any]:
    """Run the recordings in turn, each in a folder of its own; writes `out` after each."""
    found: dict[str, Any] = {"identity": identity.identity(), "recordings": {}}
    for name, recording in wanted.items():
        before = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            found["recordings"][name] = recording(Place(Path(folder)))
        spent = time.process_time() - before
        print(f"{name}: {spent:.1f} s of the processor", file=sys.stderr, flush=True)
        out.write_text(compare.text_of(found))
    return found


def with_one_thread() -> None:
    """Start this script again with one thread, unless it was: libraries read this when loaded."""
    wanted = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | wanted)


def main() -> None:
    """Record, write, and compare if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these, or those below NAME/")
    parser.add_argument("--suite", type=Path, metavar="DIR", help="also every .onnx file in DIR")
    parser.add_argument("--real", action="store_true", help="also runs at the real crop sizes")
    parser.add_argument("--udnie", type=Path, nargs=2, metavar=("ONNX", "TABLE"), help="also these")
    parser.add_argument("--against", type=Path, metavar="GOLDEN", help="compare with a recording")
    asked = parser.parse_args()
    every = recordings()
    if asked.suite:
        every |= of_suite(asked.suite)
    if asked.real:
        every |= real()
    if asked.udnie:
        every |= of_udnie(*asked.udnie)
    if asked.only:
        below = {part: {n for n in every if f"{n}/".startswith(f"{part}/")} for part in asked.only}
        if unknown := [part for part, names in below.items() if not names]:
            parser.error(f"no recording is called {unknown[0]}; there are {', '.join(every)}")
        wanted = set().union(*below.values())
        every = {name: recording for name, recording in every.items() if name in wanted}
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # what the user has timed before must not count
        found = record(every, asked.out)
    if asked.against:
        golden = json.loads(asked.against.read_text())
        differences = compare.differences(golden, found)
        print("\n".join(differences) or "the same as recorded")
        sys.exit(1 if differences else 0)


if __name__ == "__main__":
    with_one_thread()
    main()
