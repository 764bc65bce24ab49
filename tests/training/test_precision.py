import pytest
import torch

from fkd.errors import UserError
from fkd.training.precision import choose


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"avx2": True}, "32-true"),
    ],
)
def test_processors_that_multiply_bfloat16_use_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    assert choose("auto", "cpu")[0] == expected


def test_a_torch_that_does_not_tell_is_not_said_to_have_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    precision, why = choose("auto", "cpu")
    assert precision == "32-true"
    assert "does not report" in why


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "bf16-mixed"), ((8, 0), "bf16-mixed"), ((7, 5), "32-true")]
)
def test_gpus_from_ampere_on_use_bfloat16(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert choose("auto", "auto")[0] == choose("auto", "gpu")[0] == expected


def test_a_choice_of_the_user_is_kept() -> None:
    assert choose("16-mixed", "cpu")[0] == "16-mixed"
    assert choose(64, "auto")[0] == 64


@pytest.mark.parametrize("precision", ["16-true", "bf16-true"])
def test_precision_that_would_round_labels_is_refused(precision: str) -> None:
    with pytest.raises(UserError, match=f"trainer.precision={precision}: expected auto, 32-true"):
        choose(precision, "cpu")
