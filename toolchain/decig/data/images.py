"""Folders of images, read as RGB uint8 arrays of shape H,W,3."""

import errno
import logging
import os
import time
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from decig.data.depth import UnknownScaleError, depth_of, read_tiff, to_eight_bits
from decig.data.halves import Part
from decig.data.labels import NO_LABEL, Labels
from decig.errors import BadInputError, first_line
from decig.repeating import is_run

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

_TIFF = (".tif", ".tiff")

_log = logging.getLogger(__name__)

_SAY_EVERY_S = 5.0
"""Seconds between two lines that say how far reading a folder is."""
_NAMED = 20
"""Unreadable images of a folder that warnings name."""


_OF_THE_DISK = "lost+found"
"""Folder at the root of a disk that only the system may read."""
_OF_ONE_FILE = (
    None,
    errno.EINVAL,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EOVERFLOW,
)
"""Numbers of an OSError by which a file itself is no image: it is missing, or damage sent its
decoder to a place that no file has. Pillow's own errors have no number."""


class UnreadableImageError(BadInputError):
    """A file is missing, truncated or no image; a folder of others can be used without it."""


def read_image(path: Path, *, alpha: bool = False, part: Part | None = None) -> np.ndarray:
    """Read one image, or the half of it that counts, as RGB uint8 H,W,3, upright.

    With `alpha` it is RGBA uint8 H,W,4, opaque where the file has no transparency. Otherwise
    transparency is laid over white, as a browser would show it on a page. Greys of more than 8
    bits are scaled by their bit depth (`decig.data.depth`).

    Raises:
        UnreadableImageError: the file is missing, truncated or no image.
        BadInputError: it cannot be known which of its values are black and white, it has no
            halves, or the disk, permissions or the memory keep it from being read.
    """
    upright = _opened(path, part, scaled=True)
    if alpha:
        return np.array(upright.convert("RGBA"))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(upright.convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """Return width and height of an image, upright, by the header of its file alone.

    Raises:
        UnreadableImageError: the file is missing or no image.
        BadInputError: the disk or permissions keep it from being read.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as opened:
            turned = opened.getexif().get(ExifTags.Base.Orientation, 1) > 4
            return (opened.height, opened.width) if turned else (opened.width, opened.height)
    except Exception as error:  # as in `_opened`
        raise _refused(path, error) from error


def read_labels(path: Path, labels: Labels, part: Part | None = None) -> np.ndarray:
    """Read one label map as uint8 H,W,3, in the form that `Labels` describes.

    Raises:
        UnreadableImageError: as in `read_image`.
        BadInputError: the file cannot hold ids of labels, holds an id that is no label, or has no
            halves.
    """
    if labels.palette:
        return labels.clean(read_image(path, part=part), path)
    upright = _opened(path, part)
    kind, found = upright.format, np.array(upright)
    if kind == "JPEG":
        raise BadInputError(f"{path}: JPEG does not keep the ids of labels; write them as PNG")
    if found.ndim == 3 and (found[..., :3] == found[..., :1]).all():
        found = found[..., 0]
    if found.ndim != 2:
        raise BadInputError(f"{path}: holds colours, not the ids of labels; give their palette")
    found = np.where((found < 0) | (found > NO_LABEL), NO_LABEL, found).astype(np.uint8)
    return labels.clean(np.repeat(found[..., None], 3, axis=-1), path)


def _opened(path: Path, part: Part | None, *, scaled: bool = False) -> Image.Image:
    """Decode an image, turn it upright, and cut out the half that counts.

    `scaled` brings greys of every bit depth to 8 bits; ids of labels are no greys.
    """
    try:
        # Pillow warns of damaged metadata, without which the pixels are right all the same.
        with warnings.catch_warnings(action="ignore"):
            whole = _decoded(path, scaled=scaled)
    except UnknownScaleError as error:
        raise BadInputError(f"{path}: {error}") from error
    # Damage makes decoders stumble over anything; DecompressionBombError guards the memory.
    except Exception as error:
        raise _refused(path, error) from error
    if part is None:
        return whole
    half = part.cut(whole, path)
    half.format = whole.format
    return half


def _decoded(path: Path, *, scaled: bool) -> Image.Image:
    """The pixels of an image, upright; raises whatever its decoder raises."""
    try:
        with Image.open(path) as opened:
            form, depth = opened.format, depth_of(opened) if scaled else None
            upright = ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        if path.suffix.lower() not in _TIFF:
            raise
        return read_tiff(path)
    if depth is not None:
        upright = to_eight_bits(upright, depth)
    upright.format = form
    return upright


def _refused(path: Path, error: Exception) -> BadInputError:
    """What to raise for an image that could not be read.

    Without a damaged image a folder can be used. What a disk, the network, permissions or the
    limits of a process keep from being read may be half of the folder, and be there tomorrow.
    """
    if isinstance(error, MemoryError):
        return BadInputError(f"{path}: not enough memory to read this image")
    if isinstance(error, OSError) and is_fault(error):
        return BadInputError(f"{path}: cannot be read: {error.strerror}")
    return UnreadableImageError(f"{path}: not a readable image: {first_line(error)}")


def is_fault(error: OSError) -> bool:
    """Whether something else than a file itself is to blame that it could not be read."""
    return error.errno not in _OF_ONE_FILE


def name_in(folder: Path, file: Path) -> str:
    """Return the name by which other files that belong to this one are found.

    It is the path without the suffix, relative to the folder and with "/" on every system:
    "street/0001" for street/0001.png.
    """
    return file.relative_to(folder).with_suffix("").as_posix()


def photo_of(name: str, inputs: Collection[str]) -> str | None:
    """Return the photo that a file goes with, if it feeds another input (`decig.data.companions`).

    Args:
        name: of the file, as `name_in` returns it.
        inputs: names of the inputs that are fed from files.
    """
    first, _, rest = name.partition("/")
    head, _, number = name.rpartition(".")
    folder, _, place = first.rpartition(".")
    for each in inputs:
        if rest and (first == each or (folder == each and place.isdecimal())):
            return rest
        if name.endswith(f".{each}"):
            return name.removesuffix(f".{each}")
        if number.isdecimal() and head.endswith(f".{each}"):
            return head.removesuffix(f".{each}")
    return None


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and in its sub-folders, but no hidden ones.

    Links to folders elsewhere are followed, once each; those to what is there already are not. A
    file whose link leads nowhere is there, too: whoever reads it says so. Sub-folders that are run
    folders of decig are left out: the pictures in there are what models painted.

    Raises:
        BadInputError: the folder or a sub-folder cannot be listed.
    """
    root = Path(folder).resolve()
    followed: set[Path] = set()

    def enters(path: Path) -> bool:
        if path.name.startswith(".") or path.name == _OF_THE_DISK:
            return False
        if not path.is_symlink():
            return True
        real = path.resolve()
        if real in followed or real.is_relative_to(root) or root.is_relative_to(real):
            return False
        followed.add(real)
        return True

    def refuse(error: OSError) -> NoReturn:
        raise BadInputError(f"{error.filename}: cannot be listed: {error.strerror}") from error

    for place, inside, files in os.walk(folder, followlinks=True, onerror=refuse):
        if Path(place) != Path(folder) and is_run(Path(place), files):
            inside.clear()
            continue
        inside[:] = [name for name in sorted(inside) if enters(Path(place, name))]
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


class ImageFolder:
    """The images of a folder and its sub-folders, or halves of them, in the order of their paths.

    Iterating gives `(path, pixels)` for every readable image. An unreadable file is left out: a
    warning names it (of many, the first ones), and `skipped` lists it. That no image is readable
    is an error. A folder that takes long says now and then how far it is.

    Attributes:
        path: the folder.
        part: the folder, and which half of its images counts.
        files: the files in it that may be images.
        skipped: those of them that turned out to be unreadable.
    """

    def __init__(
        self,
        path: Path,
        labels: Labels | None = None,
        *,
        beside: Collection[str] = (),
        alpha: bool = False,
    ) -> None:
        """List the folder without opening any image.

        Args:
            path: the folder; with :A or :B behind its name, one half of every image counts
                (`decig.data.halves`).
            labels: how to read its images, where they are label maps.
            beside: names of inputs that other files in the folder feed (`decig.data.companions`),
                which are left out.
            alpha: whether to read transparency as a fourth channel.

        Raises:
            BadInputError: the folder is missing, or holds no file with one of `SUFFIXES`.
        """
        self.part = Part.of(Path(path))
        self.path, self._labels, self._alpha = self.part.folder, labels, alpha
        if not self.path.is_dir():
            raise BadInputError(f"{path}: no such folder of images")
        self.files = sorted(
            file for file in files_below(self.path) if file.suffix.lower() in SUFFIXES
        )
        if beside:
            names = {file: name_in(self.path, file) for file in self.files}
            self.files = [f for f in self.files if photo_of(names[f], beside) is None]
        if not self.files:
            raise BadInputError(f"{path}: no images there (looked for {', '.join(SUFFIXES)})")
        self.skipped: list[Path] = []
        self._skipped: set[Path] = set()

    def __len__(self) -> int:
        """Return the number of files listed, readable or not."""
        return len(self.files)

    def name(self, file: Path) -> str:
        """Name of one of its files, by which others that belong to it are found (`name_in`)."""
        return name_in(self.path, file)

    def size(self, file: Path) -> tuple[int, int]:
        """Width and height of what counts of one of its images; errors as for `image_size`.

        An image without two halves of the same width is a BadInputError where one is asked for.
        """
        width, height = image_size(file)
        return self.part.width(width, height, file), height

    def read(self, file: Path) -> np.ndarray:
        """Read one of its images as `read_image` does, or as `read_labels`; errors as there."""
        if self._labels is not None:
            return read_labels(file, self._labels, self.part)
        return read_image(file, alpha=self._alpha, part=self.part)

    def skip(self, file: Path, error: UnreadableImageError) -> None:
        """Note that a file is left out, once, and warn of it; of many, the first ones are named."""
        if file in self._skipped:
            return
        self._skipped.add(file)
        self.skipped.append(file)
        if len(self.skipped) <= _NAMED:
            _log.warning("skipped %s", error)
        elif len(self.skipped) == _NAMED + 1:
            _log.warning("%s: more images are skipped, which are not named", self.path)

    def __iter__(self) -> Iterator[tuple[Path, np.ndarray]]:
        """Yield the path and the RGB uint8 H,W,3 pixels of every readable image.

        Raises:
            BadInputError: no image of the folder is readable, or a label map holds an id that is
                no label.
        """
        readable, said = 0, time.monotonic()
        for place, file in enumerate(self.files):
            if time.monotonic() - said >= _SAY_EVERY_S:
                _log.info("%s: at image %d of %d", self.path, place + 1, len(self.files))
                said = time.monotonic()
            try:
                pixels = self.read(file)
            except UnreadableImageError as error:
                self.skip(file, error)
                continue
            readable += 1
            yield file, pixels
        if len(self.skipped) > _NAMED:
            _log.warning(
                "%s: %d of its %d images are skipped", self.path, len(self.skipped), len(self.files)
            )
        if not readable:
            raise BadInputError(f"{self.path}: none of its {len(self.files)} images is readable")
