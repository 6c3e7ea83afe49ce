import pytest
import torch

from decig.train import precision


@pytest.mark.parametrize(
    ("asked", "native", "found"),
    [("auto", True, "bf16"), ("auto", False, "no"), ("bf16", False, "bf16"), ("fp32", True, "no")],
)
def test_auto_is_bf16_where_it_is_native(
    asked: str, native: bool, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_native_bf16", lambda: native)
    assert precision.make_accelerator(asked).mixed_precision == found


@pytest.mark.parametrize(
    ("known", "native"),
    [
        ({}, False),
        ({"avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_processors_tell_whether_they_multiply_bf16(
    known: dict[str, bool], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert precision.has_native_bf16() is native


@pytest.mark.parametrize(("generation", "native"), [((7, 5), False), ((8, 0), True)])
def test_gpus_do_from_their_eighth_generation_on(
    generation: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: generation)
    assert precision.has_native_bf16() is native
