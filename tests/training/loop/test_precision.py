import pytest
import torch

from decig.training.loop import precision


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
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)  # and yet it trains on the CPU
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert precision.has_native_bf16("cpu") is native


@pytest.mark.parametrize(("generation", "native"), [((7, 5), False), ((8, 0), True)])
def test_gpus_do_from_their_eighth_generation_on(
    generation: tuple[int, int], native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: generation)
    assert precision.has_native_bf16("cuda") is native


@pytest.mark.parametrize(
    ("asked", "native", "bf16"),
    [("auto", True, True), ("auto", False, False), ("bf16", False, True), ("fp32", True, False)],
)
def test_auto_is_bf16_where_it_is_native(
    asked: str, native: bool, bf16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_native_bf16", lambda _: native)
    assert precision.Precision.named(asked, "cpu") == precision.Precision("cpu", bf16)


def test_nets_compute_in_it_and_give_float32() -> None:
    net, x = torch.nn.Linear(64, 3), torch.rand(5, 64)
    seen = []
    net.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    (exact,) = precision.Precision("cpu").run(net, x)
    (rough,) = precision.Precision("cpu", bf16=True).run(net, x)
    assert seen == [torch.float32, torch.bfloat16]
    assert exact.dtype == rough.dtype == torch.float32
    assert 0 < (exact - rough).abs().max() < 0.05
    assert torch.equal(rough, rough.bfloat16().float())


def test_several_outputs_stay_several() -> None:
    class Twice(torch.nn.Module):
        def forward(self, x: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
            return x, 2 * x

    first, second = precision.Precision("cpu").run(Twice(), torch.ones(2))
    assert torch.equal(second, 2 * first)


def test_the_device_of_a_training_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_native_bf16", {"cpu": True}.get)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    found = precision.describe_training_device()
    assert found == f"{torch.__version__} on cpu, bfloat16 in hardware"
    monkeypatch.setattr(precision, "has_native_bf16", {"cuda": False}.get)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "H100")
    found = precision.describe_training_device()
    assert found == f"{torch.__version__} on 2 x H100, bfloat16 emulated"
