"""Writing in place, Einsum, filters of one channel, and spectra."""

import numpy as np

from tests.graph.blocks.builder import Builder, Map, block


@block(since=11)
def write_channels(b: Builder, x: Map) -> Map:
    """A layer replaces some channels; the axis of channels is brought to the front."""
    places = _some_channels(b, x)
    new = b.convolution(x, out=len(places))
    front, written = b.transpose(x.name, 1, 0, 2, 3), b.transpose(new.name, 1, 0, 2, 3)
    index = b.constant([[place] for place in places])
    return x.now(b.transpose(b.op("ScatterND", front, index, written), 1, 0, 2, 3))


@block(since=11)
def write_grid(b: Builder, x: Map) -> Map:
    """Indices that name every element, as TorchScript's exporter writes them."""
    places = _some_channels(b, x)
    new = b.convolution(x, out=len(places))
    axes = [[0], places, list(range(x.height)), list(range(x.width))][: b.integer(2, 4)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return x.now(b.op("ScatterND", x.name, b.constant(grid), new.name))


@block(since=11)
def fill_zeros(b: Builder, x: Map) -> Map:
    """Zeros that two layers fill, every second channel each."""
    zeros = b.constant(np.zeros((1, 8, x.height, x.width)), "f4")
    for first in range(2):
        grid = np.stack(np.meshgrid([0], range(first, 8, 2), indexing="ij"), axis=-1)
        zeros = b.op("ScatterND", zeros, b.constant(grid), b.convolution(x, out=4).name)
    return Map(zeros, 8, x.height, x.width)


@block()
def write_elements(b: Builder, x: Map) -> Map:
    kind = "ScatterElements" if b.opset >= 11 else "Scatter"
    if b.flip():
        places = _some_channels(b, x)
        new = b.convolution(x, out=len(places))
        index = np.broadcast_to(np.reshape(places, (1, -1, 1, 1)), new.shape)
        return x.now(b.op(kind, x.name, b.constant(index), new.name, axis=1))
    new = b.like(x)
    index = np.broadcast_to(np.arange(x.width)[::-1], x.shape)
    return x.now(b.op(kind, x.name, b.constant(index), new.name, axis=3))


def _some_channels(b: Builder, x: Map) -> list[int]:
    first = b.integer(0, x.channels - 1)
    return list(range(first, x.channels, b.integer(1, 2)))


@block(since=12)
def einsum_layer(b: Builder, x: Map) -> Map:
    out = b.integer(4, 12)
    if b.flip():
        weight = b.weight(out, x.channels)
        return Map(b.op("Einsum", x.name, weight, equation="bchw,oc->bohw"), out, *x.shape[2:])
    queries = b.weight(1, out, x.channels)
    return Map(b.op("Einsum", queries, x.name, equation="bqc,bchw->bqhw"), out, *x.shape[2:])


@block(since=12)
def einsum_scale(b: Builder, x: Map) -> Map:
    equation, shape = b.choose(
        [
            ("bchw,c->bchw", (x.channels,)),
            ("...hw,wv->...hv", (x.width, x.width)),
            ("bchw,cwv->bchv", (x.channels, x.width, x.width)),
        ]
    )
    return x.now(b.op("Einsum", x.name, b.weight(*shape), equation=equation))


@block(since=12)
def einsum_attention(b: Builder, x: Map) -> Map:
    """Attention over pixels with two heads."""
    if x.height * x.width > 64:
        return b.convolution(x)
    width, places = 2 * b.integer(2, 3), x.height * x.width
    parts = [b.convolution(x, out=width, kernel=1) for _ in range(3)]
    q, k, v = (b.reshape(part.name, 1, 2, width // 2, places) for part in parts)
    scores = b.op("Softmax", b.op("Einsum", q, k, equation="bhdi,bhdj->bhij"), axis=3)
    mixed = b.op("Einsum", scores, v, equation="bhij,bhdj->bhdi")
    return Map(b.reshape(mixed, 1, width, x.height, x.width), width, x.height, x.width)


@block()
def filter_rows(b: Builder, x: Map) -> Map:
    """One filter for all channels, which stand in the batch."""
    rows = b.reshape(x.name, b.choose([x.channels, -1]), 1, x.height, x.width)
    blurred = b.op("Conv", rows, b.weight(1, 1, 3, 3), pads=[1] * 4)
    return x.now(b.reshape(blurred, 1, x.channels, x.height, x.width))


@block(since=17)
def spectrum(b: Builder, x: Map) -> Map:
    """Real and imaginary parts as channels, mixed by a 1x1 kernel, and back."""
    if x.channels > 12 or x.width % 2:
        return b.convolution(x)
    c, h, bins = x.channels, x.height, x.width // 2 + 1
    wide = b.unsqueeze(x.name, 4)
    flat = b.transpose(_dft(b, wide, onesided=1), 0, 1, 4, 2, 3)
    mixed = b.convolution(Map(b.reshape(flat, 1, 2 * c, h, bins), 2 * c, h, bins), 2 * c, 1)
    apart = b.transpose(b.reshape(mixed.name, 1, c, 2, h, bins), 0, 1, 3, 4, 2)
    back = _dft(b, apart, b.constant(x.width), inverse=1, onesided=1)
    return x.now(b.reshape(back, 1, c, h, x.width))


def _dft(b: Builder, value: str, length: str = "", **settings: int) -> str:
    if b.opset < 20:
        return b.op("DFT", value, length, axis=3, **settings)
    return b.op("DFT", value, length, b.constant(3), **settings)


@block()
def batch_norm_of_input(b: Builder, x: Map) -> Map:
    """In training mode: by the statistics of its input.

    ONNX Runtime 1.31 writes the new statistics over the old ones, and over whatever initializer
    of at most 8 numbers is equal to them: so all four are different.
    """
    means = {1.0: 0.2, 0.0: 0.3, 0.5: 0.3, 2.0: 0.1}
    parts = [b.weight(x.channels, mean=mean, size=size) for mean, size in means.items()]
    mode = {"training_mode": 1} if b.opset >= 14 else {}
    outputs = 3 if b.opset >= 14 else 5
    found = b.ops("BatchNormalization", x.name, *parts, outputs=outputs, epsilon=1e-3, **mode)
    return x.now(found[0])


@block()
def norm_by_style(b: Builder, x: Map) -> Map:
    """AdaIN: scale and shift come from a style."""
    style = b.input("style", 1, 5)
    parts = b.op("Gemm", style, b.weight(5, 2 * x.channels), b.weight(2 * x.channels, size=0.3))
    affine = [b.reshape(p, -1) for p in b.split(parts, 1, [x.channels] * 2)]
    return x.now(b.op("InstanceNormalization", x.name, *affine, epsilon=1e-3))
