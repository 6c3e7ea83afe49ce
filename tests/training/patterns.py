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


class ChannelAttention(Pattern):
    """Restormer: unit queries and keys, channels times channels, a temperature per head."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(16, 48, 1)
        self.temperature = nn.Parameter(torch.rand(2, 1, 1) + 0.5)
        self.project = nn.Conv2d(16, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        n, c, height, width = h.shape
        parts = self.qkv(h).chunk(3, 1)
        q, k, v = (part.reshape(n, 2, c // 2, height * width) for part in parts)
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        weights = (q @ k.transpose(-2, -1) * self.temperature).softmax(-1)
        return self.head(h + self.project((weights @ v).reshape(n, c, height, width)))


class CosineAttention(Pattern):
    """Swin transformer V2: queries and keys divided by their length over the places of a head."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(16, 48)
        self.scale = nn.Parameter(torch.rand(2, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        n, c, height, width = h.shape
        tokens = h.flatten(2).transpose(1, 2)
        parts = self.qkv(tokens).reshape(n, height * width, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        q, k = functional.normalize(q, dim=-1), functional.normalize(k, dim=-1)
        weights = (q @ k.transpose(-2, -1) * self.scale).softmax(-1)
        mixed = (weights @ v).transpose(1, 2).reshape(n, height * width, c)
        return self.head(h + mixed.transpose(1, 2).reshape(h.shape))


class LinearAttention(Pattern):
    """Keys times values first: no map over all pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(16, 48, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        n, c, height, width = h.shape
        q, k, v = (part.reshape(n, 2, c // 2, -1) for part in self.qkv(h).chunk(3, 1))
        pairs = torch.relu(v) @ k.softmax(-1).transpose(-2, -1)
        return self.head(h + (pairs @ q.tanh()).reshape(n, c, height, width))


class SelectiveKernels(Pattern):
    """Two branches, stacked, weighed by a softmax over the branches, and added up."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(16, 16, k, padding=k // 2) for k in (3, 5))
        self.squeeze = nn.Conv2d(16, 8, 1)
        self.choose = nn.ModuleList(nn.Conv2d(8, 16, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        n, c, height, width = h.shape
        both = torch.cat([branch(h) for branch in self.branches], 1).view(n, 2, c, height, width)
        squeezed = torch.relu(self.squeeze(both.sum(1).mean((2, 3), keepdim=True)))
        weights = torch.cat([choose(squeezed) for choose in self.choose], 1)
        return self.head((both * weights.view(n, 2, c, 1, 1).softmax(1)).sum(1))


class Folded(Pattern):
    """Overlapping windows, a layer over each, and their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16 * 9, 16 * 9)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.stem(x))
        windows = functional.unfold(h, 3, padding=1, stride=2).transpose(1, 2)
        changed = self.inner(windows).transpose(1, 2)
        return self.head(h + functional.fold(changed, h.shape[2:], 3, padding=1, stride=2))


class ChannelSoftmax(Pattern):
    """Gates over the channels that add up to one."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        return self.head(h * h.softmax(1))


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
        ChannelAttention,
        CosineAttention,
        LinearAttention,
        SelectiveKernels,
        Folded,
        ChannelSoftmax,
    )
}
SHAPES = {"x": [1, 3, 16, 16]}
STYLED = {**SHAPES, "style": [1, 8]}
