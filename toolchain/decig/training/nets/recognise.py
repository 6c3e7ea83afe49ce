"""Which discriminator a checkpoint is of, by the names and shapes of its weights."""

from decig.training.nets.multiscale import MultiscaleDiscriminator
from decig.training.nets.patch_gan import PatchDiscriminator

Discriminator = PatchDiscriminator | MultiscaleDiscriminator

DISCRIMINATORS: tuple[type[PatchDiscriminator], type[MultiscaleDiscriminator]] = (
    PatchDiscriminator,
    MultiscaleDiscriminator,
)
"""The discriminators whose checkpoints decig reads."""


def discriminator_in(
    shapes: dict[str, tuple[int, ...]],
) -> type[PatchDiscriminator] | type[MultiscaleDiscriminator] | None:
    """Return the class of discriminator that weights of these names and shapes are of, or None."""
    for kind in DISCRIMINATORS:
        try:
            kind.read_sizes(shapes)
        except (LookupError, ValueError):
            continue
        return kind
    return None
