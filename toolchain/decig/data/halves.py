"""Folders of which one half of every image counts: pix2pix keeps both sides of a pair in one image.

Wherever a folder of images is asked for, `facades/train:A` stands for the left halves of the images
in facades/train, and `facades/train:B` for the right ones. (`decig train` is given whole data sets,
whose halves it finds itself: `decig.data.layouts`.) Images that feed further inputs are read whole.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from decig.errors import BadInputError

if TYPE_CHECKING:
    from PIL.Image import Image

Side = Literal["A", "B"]
_SIDES: tuple[Side, ...] = ("A", "B")


@dataclass(frozen=True)
class Part:
    """A folder of images, and which half of each of them counts.

    Attributes:
        folder: of the images.
        side: "A" for their left halves, "B" for their right ones, None for whole images.
    """

    folder: Path
    side: Side | None = None

    @classmethod
    def of(cls, path: Path) -> "Part":
        """Read DIR, DIR:A or DIR:B; a folder whose own name ends in :A is taken as it is."""
        text = str(path)
        for side in _SIDES:
            if text.endswith(f":{side}") and not path.is_dir():
                return cls(Path(text[: -len(side) - 1] or "."), side)
        return cls(path)

    @property
    def exists(self) -> bool:
        """Whether the folder is there."""
        return self.folder.is_dir()

    def cut(self, image: "Image", file: Path) -> "Image":
        """Return the half that counts of an image that is upright already.

        Args:
            image: whole.
            file: for messages.

        Raises:
            BadInputError: the image has no two halves of the same width.
        """
        if self.side is None:
            return image
        half = self.width(image.width, image.height, file)
        left = 0 if self.side == "A" else half
        return image.crop((left, 0, left + half, image.height))

    def width(self, width: int, height: int, file: Path) -> int:
        """Width of what counts of an image of some size; errors as for `cut`."""
        if self.side is None:
            return width
        if width % 2:
            raise BadInputError(f"{file}: {width}x{height} cannot hold two halves side by side")
        return width // 2
