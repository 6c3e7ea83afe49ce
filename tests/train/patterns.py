"""Small nets with patterns of real generators that exporters write in unusual operators."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Pattern(nn.Module):
    """A stem, something in the middle, and a head."""

    def __init__(self, out: int = 16) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.head = nn.Conv2d(out, 3, 3, padding=1)


class AdaIN(Pattern):
    """MUNIT: a batch norm in training mode over N*C channels, scaled by a style."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(16, 16, 3, padding=1)
        self.style = nn.Linear(8, 32)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        shift, scale = self.style(style).chunk(2, 1)
        h = self.inner(torch.relu(self.stem(x)))
        n, c, height, width = h.shape
        flat = functional.batch_norm(
            h.reshape(1, n * c, height, width),
            torch.zeros(n * c),
            torch.ones(n * c),
            scale.reshape(-1),
            shift.reshape(-1),
            True,
        )
        return self.head(torch.relu(flat.view(n, c, height, width)))


class BatchStatistics(Pattern):
    """A BatchNorm that keeps no statistics, and thus always takes those of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(16, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.stem(x))))


class InPlace(Pattern):
    """A wide kernel on the first channels, written into the tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Conv2d(4, 4, 9, padding=4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x) * 1.0
        h[:, :4] = self.wide(h[:, :4])
        return self.head(h)


class Filled(Pattern):
    """Zeros that two layers fill, every second channel each."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(16, 8, 1), nn.Conv2d(16, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        both = torch.zeros_like(h)
        both[:, ::2], both[:, 1::2] = self.one(h), self.two(h)
        return self.head(both)


class Blur(Pattern):
    """Channels in the batch for one filter, as resampling filters are written."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.ones(1, 1, 3, 3) / 9)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        n, c, height, width = h.shape
        h = functional.conv2d(h.reshape(-1, 1, height, width), self.kernel, padding=1)
        return self.head(torch.relu(h.reshape(n, c, height, width)))


class UpFirDn(Pattern):
    """StyleGAN2's upfirdn2d in plain PyTorch: zeros in between, a border, one filter."""

    def __init__(self) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("kernel", torch.outer(taps, taps) / 16)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        n, c, height, width = h.shape
        out = h.reshape(-1, height, 1, width, 1, 1)
        out = functional.pad(out, [0, 0, 0, 1, 0, 0, 0, 1])
        out = out.view(-1, height * 2, width * 2, 1)
        out = functional.pad(out, [0, 0, 2, 1, 2, 1])
        out = out.permute(0, 3, 1, 2).reshape(-1, 1, height * 2 + 3, width * 2 + 3)
        out = functional.conv2d(out, torch.flip(self.kernel, [0, 1])[None, None])
        out = out.reshape(-1, 1, height * 2, width * 2).permute(0, 2, 3, 1)
        out = out[:, ::2, ::2, :]
        return self.head(out.reshape(n, c, height, width))


class Queries(Pattern):
    """Einsum of queries with pixels over the channels."""

    def __init__(self) -> None:
        super().__init__(10)
        self.queries = nn.Parameter(torch.randn(1, 10, 16))

    def forward(self, x: Tensor) -> Tensor:
        queries = self.queries.expand(x.shape[0], -1, -1)
        return self.head(torch.einsum("bqc,bchw->bqhw", queries, torch.relu(self.stem(x))))


class EinsumAttention(Pattern):
    """Attention over pixels, its products written as Einsum."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(16, 48, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        n, c, height, width = h.shape
        q, k, v = self.qkv(h).view(n, 3, 2, c // 2, height * width).unbind(1)
        weights = torch.einsum("bhdi,bhdj->bhij", q * (c // 2) ** -0.5, k).softmax(-1)
        mixed = torch.einsum("bhij,bhdj->bhdi", weights, v).reshape(n, c, height, width)
        return self.head(h + mixed)


class Fourier(Pattern):
    """LaMa: the spectrum over height and width, its parts as channels, mixed by a 1x1 kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(32, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        n, c, height, width = h.shape
        spectrum = torch.view_as_real(torch.fft.rfft2(h, norm="ortho"))
        flat = spectrum.permute(0, 1, 4, 2, 3).reshape(n, 2 * c, height, width // 2 + 1)
        mixed = torch.relu(self.mix(flat)).view(n, c, 2, height, width // 2 + 1)
        mixed = mixed.permute(0, 1, 3, 4, 2).contiguous()
        back = torch.fft.irfft2(torch.view_as_complex(mixed), s=(height, width), norm="ortho")
        return self.head(h + back)


class WindowMask(Pattern):
    """A constant of rank 5, as window masks are."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.rand(1, 2, 1, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        n, c, height, width = h.shape
        masked = (h.view(n, 2, c // 2, height, width) * self.mask).view_as(h)
        return torch.sigmoid(self.head(masked))


class Unfolded(Pattern):
    """Overlapping windows by unfold, and their mean."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        n, c, height, width = h.shape
        patches = functional.unfold(h, 3, padding=1).view(n, c, 9, height * width)
        return self.head(patches.mean(2).view(n, c, height, width))


PATTERNS: dict[str, type[Pattern]] = {
    pattern.__name__: pattern
    for pattern in (
        AdaIN,
        BatchStatistics,
        InPlace,
        Filled,
        Blur,
        UpFirDn,
        Queries,
        EinsumAttention,
        Fourier,
        WindowMask,
        Unfolded,
    )
}
SHAPES = {"x": [1, 3, 16, 16]}
STYLED = {**SHAPES, "style": [1, 8]}
