"""What would stop a contest, found out before hours of training, and what stopped parts of it."""

from collections.abc import Sequence

from competitors import PRUNED
from contest import DECIG, Contest

from decig.data.images import ImageFolder
from decig.device.cost.table import CostTable
from decig.errors import DecigError
from decig.extras import require
from decig.graph.channels import analyse
from decig.quality.features import require_features


def raise_all(failures: Sequence[str]) -> None:
    """End with what went wrong, where something did; for when all else is published."""
    if failures:
        raise DecigError("; ".join(failures))


def require_packages(methods: Sequence[str], *, judged: bool = True) -> None:
    """Check that all packages are installed that methods and peers need.

    Args:
        methods: those of decig, and peers.
        judged: whether pictures will be judged by their features.

    Raises:
        BadInputError: one is missing; names it and the line that installs it.
    """
    require("training", "train", ("torch", "accelerate", "filelock", "onnxscript"))
    if judged:
        require_features("judging pictures")
    if PRUNED in methods:
        require(f"the peer {PRUNED}", "bench", ("torch_pruning",))


def require_ready(contest: Contest, *, judged: bool = True) -> None:
    """Find out now, not after hours of training, what would stop a contest.

    Args:
        contest: that is to begin.
        judged: whether its pictures will be judged by their features.

    Raises:
        DecigError: a package is missing, the teacher, its images, the settings, the cost table or
            the peers' recipe cannot be read, or peers are asked for without decig, whose latency
            and time they get.
    """
    require_packages(contest.methods, judged=judged)
    from decig.training.config import Config

    for method in contest.own or [DECIG]:
        Config.read(contest.config, method)
    source = contest.teacher.source()
    next(iter(ImageFolder(contest.teacher.images, source.require_pixels().labels)))
    if contest.table is not None:
        CostTable.load(contest.table).require_same_model(source.model, analyse(source.model.proto))
    if not contest.peers:
        return
    from competitors.family import family_of

    family = family_of(contest.recipe)
    family.make(family.narrowest)
    missing = [run for run in contest.runs([DECIG]) if not contest.exported(*run).exists()]
    if missing and DECIG not in contest.methods:
        raise DecigError(f"{', '.join(contest.peers)} need decig's results: run decig too")
