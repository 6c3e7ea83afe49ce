"""Which mean and variance the batch norms of a net use: those saved with it, or the picture's own.

In evaluation mode a batch norm uses the running statistics of its training, in training mode those
of the batch. pix2pix's own test script runs its net in training mode unless it is given `--eval`,
one picture at a time, so that every picture is normalised by itself, as by an instance norm
(Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017,
section 3.3). The pictures that its users know are of that kind.
"""

import logging

from torch import nn

from decig.errors import BadInputError
from decig.source.recipe import Code

_log = logging.getLogger(__name__)


def choose_statistics(module: nn.Module, code: Code, name: str, *, trained: bool) -> None:
    """Let the batch norms of a module use what `code` says.

    Args:
        module: changed in place; its exporter writes batch norms without running statistics as
            instance norms.
        code: says whether they use the statistics of each picture; where it says nothing, they
            use the saved ones, and a line of the log names the choice.
        name: of the module, for messages.
        trained: whether its statistics come with trained weights.

    Raises:
        BadInputError: the picture's own statistics are asked for, and there are no batch norms.
    """
    norms = running_norms(module)
    if code.batch_statistics is None and norms and trained:
        _log.info(
            "%s: its %d batch norms use the statistics saved with the weights; with "
            "--batch-statistics they use those of each picture, as pix2pix's test.py does "
            "unless it is given --eval",
            name,
            len(norms),
        )
    if not code.batch_statistics:
        return
    if not norms:
        raise BadInputError(f"{name}: has no batch norms that could use a picture's statistics")
    for norm in norms:
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None
        norm.track_running_stats = False


def running_norms(module: nn.Module) -> list[nn.modules.batchnorm._BatchNorm]:
    """The batch norms of a module that have running statistics."""
    return [
        part
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is not None
    ]
