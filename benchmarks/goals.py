"""What a contest is about: the teacher that is compressed, for which latencies and how long."""

from dataclasses import dataclass
from pathlib import Path

from decig.errors import DecigError
from decig.source.flags import PixelFlags
from decig.source.resolve import resolve
from decig.source.source import Source


@dataclass(frozen=True)
class Target:
    """A latency to reach: a multiple of the teacher's speed, or milliseconds."""

    value: float
    unit: str

    @property
    def label(self) -> str:
        """Short name, also of its folder."""
        return f"{self.value:g}{self.unit}"

    def options(self) -> list[str]:
        """Options of decig compress."""
        if self.unit == "ms":
            return ["--target-latency", self.label]
        return ["--target-speedup", f"{self.value:g}"]


@dataclass(frozen=True)
class Teacher:
    """What is compressed.

    Attributes:
        model: MODEL, as decig takes it: an ONNX file, or a recipe that names one.
        flags: what the command line says of its pixels.
        images: folder of the images that it is fed in training.
    """

    model: Path
    flags: PixelFlags
    images: Path

    @property
    def name(self) -> str:
        """In tables and of files: of its file, or of the folder of its recipe."""
        return self.model.parent.name if self.model.name == "recipe.toml" else self.model.stem

    def source(self) -> Source:
        """Read it.

        Raises:
            BadInputError: it cannot be read, or is no ONNX file, or its pixels are not known.
        """
        source = resolve(str(self.model), self.flags)
        source.require_pixels()
        if not source.model.path.is_file():
            raise DecigError(f"{self.model}: comes from PyTorch code; name an ONNX file of it")
        return source

    def options(self) -> list[str]:
        """Options that say of its pixels what the command line said."""

        def joined(bounds: tuple[float, float]) -> str:
            return ",".join(f"{bound:g}" for bound in bounds)

        # "=" because a range may begin with a minus sign.
        found = []
        for name in ("input_range", "output_range"):
            if (bounds := getattr(self.flags, name)) is not None:
                found.append(f"--{name.replace('_', '-')}={joined(bounds)}")
        if self.flags.layout is not None:
            found.append(f"--layout={self.flags.layout}")
        if self.flags.channel_order is not None:
            found.append(f"--channel-order={self.flags.channel_order}")
        return found


@dataclass(frozen=True)
class Effort:
    """How long a compression trains.

    Attributes:
        minutes: of training, where steps are not counted.
        steps: of training instead.
    """

    minutes: float
    steps: int | None = None

    def options(self) -> list[str]:
        """Options of decig compress."""
        if self.steps is not None:
            return ["--steps", str(self.steps)]
        return ["--budget", f"{60 * self.minutes:g}s"]

    def said(self) -> str:
        """Options of the benchmark."""
        return f"--minutes {self.minutes:g}" if self.steps is None else f"--steps {self.steps}"

    def __str__(self) -> str:
        """Describe it to people."""
        return f"{self.minutes:g} minutes" if self.steps is None else f"{self.steps} steps"
