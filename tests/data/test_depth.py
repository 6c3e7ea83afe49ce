"""Greys of every bit depth, written byte by byte here: no library's idea of them is trusted."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from decig.data.depth import UnknownScaleError, depth_of
from decig.data.images import ImageFolder, UnreadableImageError, read_image
from decig.errors import BadInputError

UNSIGNED, SIGNED, FLOAT = 1, 2, 3


def write_png16(path: Path, values: np.ndarray) -> Path:
    """Write 16-bit samples H,W or H,W,C (1 grey, 2 with alpha, 3 RGB, 4 RGBA) as PNG."""
    samples = values if values.ndim == 3 else values[..., None]
    height, width, channels = samples.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    return path


def write_tiff(
    path: Path, values: np.ndarray, order: str, form: int, photometric: int = 1, bits: int = 0
) -> Path:
    """Write an uncompressed TIFF of H,W greys, or of H,W,3 colours where photometric is 2."""
    height, width = values.shape[:2]
    channels = values.shape[2] if values.ndim == 3 else 1
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    bits = bits or values.dtype.itemsize * 8
    extra, start = b"", 8 + len(data)
    per_sample: tuple[int, int, int] = (3, 1, bits)
    kinds: tuple[int, int, int] = (3, 1, form)
    if channels == 3:
        extra = struct.pack(f"{order}6H", *[bits] * 3, *[form] * 3)
        per_sample, kinds = (3, 3, start), (3, 3, start + 6)
    entries = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: per_sample,
        259: (3, 1, 1),
        262: (3, 1, photometric),
        273: (4, 1, 8),
        277: (3, 1, channels),
        278: (4, 1, height),
        279: (4, 1, len(data)),
        339: kinds,
    }
    directory = struct.pack(f"{order}H", len(entries))
    for tag, (kind, count, value) in entries.items():
        packed = struct.pack(f"{order}HH", value, 0) if kind == 3 and count == 1 else None
        directory += struct.pack(f"{order}HHI", tag, kind, count)
        directory += packed or struct.pack(f"{order}I", value)
    directory += struct.pack(f"{order}I", 0)
    mark = b"II" if order == "<" else b"MM"
    header = mark + struct.pack(f"{order}HI", 42, start + len(extra))
    path.write_bytes(header + data + extra + directory)
    return path


def _ramp() -> np.ndarray:
    """Shares of white from black to 0.88, H,W: the mean is 0.44."""
    return np.linspace(0, 0.88, 16 * 24).reshape(16, 24)


def _mean(path: Path) -> float:
    pixels = read_image(path)
    assert pixels.shape[2] == 3
    return float(pixels.mean())


RIGHT = 0.44 * 255


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_mean_of_a_png_of_16_bits_is_right(tmp_path, channels):
    share = np.repeat(_ramp()[..., None], channels, axis=-1)
    if channels in (2, 4):
        share[..., -1] = 1.0  # opaque
    file = write_png16(tmp_path / "a.png", np.round(share * 65535))
    assert _mean(file) == pytest.approx(RIGHT, abs=0.6)  # Pillow cuts colours off, at most 1 level


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "white", "form"),
    [
        ("u1", 2**8 - 1, UNSIGNED),
        ("i1", 2**7 - 1, SIGNED),
        ("u2", 2**16 - 1, UNSIGNED),
        ("i2", 2**15 - 1, SIGNED),
        ("u4", 2**32 - 1, UNSIGNED),
        ("i4", 2**31 - 1, SIGNED),
        ("f4", 1, FLOAT),
        ("f8", 1, FLOAT),
    ],
)
def test_mean_of_a_tiff_is_right_at_every_depth(tmp_path, order, kind, white, form):
    values = (_ramp() * white).astype(kind)
    file = write_tiff(tmp_path / "a.tif", values, order, form)
    assert _mean(file) == pytest.approx(RIGHT, abs=1.1)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_whose_zero_is_white_is_turned_round(tmp_path, order):
    values = np.round(_ramp() * 65535).astype("u2")
    file = write_tiff(tmp_path / "a.tiff", values, order, UNSIGNED, photometric=0)
    assert _mean(file) == pytest.approx(255 - RIGHT, abs=0.6)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate"])
def test_a_compressed_tiff_of_16_bits_has_the_right_mean(tmp_path, compression):
    image = Image.fromarray(np.round(_ramp() * 65535).astype("u2"))
    image.save(tmp_path / "a.tif", compression=compression)
    assert _mean(tmp_path / "a.tif") == pytest.approx(RIGHT, abs=0.6)


def test_12_bits_of_16_are_scaled_by_12(tmp_path):
    values = np.round(_ramp() * 4095).astype(int)
    packed = np.zeros((16, 36), "u1")  # two values share three bytes
    packed[:, ::3] = values[:, ::2] >> 4
    packed[:, 1::3] = (values[:, ::2] & 15) << 4 | values[:, 1::2] >> 8
    packed[:, 2::3] = values[:, 1::2] & 255
    file = write_tiff(tmp_path / "a.tif", packed, "<", UNSIGNED, bits=12)
    content = bytearray(file.read_bytes())
    content[content.index(struct.pack("<HHII", 256, 4, 1, 36)) + 8] = 24  # the width in pixels
    file.write_bytes(bytes(content))
    assert _mean(file) == pytest.approx(RIGHT, abs=0.6)


def test_colours_of_16_bits_in_tiff_have_the_right_mean(tmp_path):
    values = np.round(np.repeat(_ramp()[..., None], 3, axis=-1) * 65535).astype("u2")
    for order in "<>":
        file = write_tiff(tmp_path / f"{ord(order)}.tif", values, order, UNSIGNED, photometric=2)
        assert _mean(file) == pytest.approx(RIGHT, abs=0.6)


@pytest.mark.parametrize(
    ("values", "form", "told"),
    [
        (_ramp().astype("f4") * 255, FLOAT, "floats go from 0 to 224"),
        (_ramp().astype("f4") - 0.5, FLOAT, "floats go from -0.5"),
        (np.repeat(_ramp()[..., None], 3, axis=-1).astype("f4") * 9, FLOAT, "floats go from 0"),
        (np.full((4, 4), np.nan, "f4"), FLOAT, "nan"),
        ((_ramp() * 100 - 50).astype("i2"), SIGNED, "16 bits go from -50"),
        ((_ramp() * 100 - 50).astype("i1"), SIGNED, "8 bits go from -50"),
    ],
)
def test_what_cannot_be_known_is_refused_and_the_file_named(tmp_path, values, form, told):
    photometric = 2 if values.ndim == 3 else 1
    file = write_tiff(tmp_path / "odd.tif", values, "<", form, photometric)
    with pytest.raises(BadInputError, match=f"odd.tif.*{told}") as caught:
        list(ImageFolder(tmp_path))
    assert not isinstance(caught.value, UnreadableImageError)
    assert file.name in str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "white", "form"), [("f4", 1, FLOAT), ("i2", 2**15 - 1, SIGNED)])
def test_signed_and_float_colours_have_the_right_mean(tmp_path, order, kind, white, form):
    values = (np.repeat(_ramp()[..., None], 3, axis=-1) * white).astype(kind)
    file = write_tiff(tmp_path / "a.tif", values, order, form, photometric=2)
    assert _mean(file) == pytest.approx(RIGHT, abs=0.6)


@pytest.mark.parametrize("content", [b"no image", b""])
def test_what_is_no_tiff_is_unreadable(tmp_path, content):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"a\.tif: not a readable image"):
        read_image(tmp_path / "a.tif")


def test_a_tiff_that_nothing_here_unpacks_is_unreadable(tmp_path):
    file = write_tiff(tmp_path / "a.tif", _ramp().astype("f8"), "<", FLOAT)
    plain, jpeg_2000 = (struct.pack("<HHIHH", 259, 3, 1, scheme, 0) for scheme in (1, 34712))
    file.write_bytes(file.read_bytes().replace(plain, jpeg_2000))
    with pytest.raises(UnreadableImageError, match=r"a\.tif: not a readable image"):
        read_image(file)


def test_an_exif_orientation_of_16_bits_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.round(_ramp() * 65535).astype("u2"))
    image.save(tmp_path / "a.png", exif=exif)
    assert read_image(tmp_path / "a.png").shape == (24, 16, 3)
    assert _mean(tmp_path / "a.png") == pytest.approx(RIGHT, abs=0.6)


def test_a_format_without_a_bit_depth_is_refused():
    image = Image.fromarray(np.zeros((4, 4), "f4"))
    image.format = "SPIDER"
    with pytest.raises(UnknownScaleError, match="SPIDER"):
        depth_of(image)


def test_a_tiff_that_says_it_is_huge_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9, 3), np.float32), photometric="rgb")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match="its 243 values are too many"):
        read_image(tmp_path / "a.tif")


def test_what_tifffile_logs_of_damage_is_not_shown(tmp_path, capfd):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 9, 3), np.float32), photometric="rgb")
    whole = bytearray((tmp_path / "a.tif").read_bytes())
    whole[12:60] = b"\x00" * 48
    (tmp_path / "a.tif").write_bytes(whole)
    with pytest.raises(UnreadableImageError):
        read_image(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""
