"""weights=: what a new net takes of another one, and what is said about it."""

import pytest
import torch
from omegaconf import OmegaConf

from fkd import weights
from fkd.config.build_module import build_module
from fkd.config.initial_weights import initialise
from fkd.errors import UserError
from fkd.inference.torch_net import load_net
from tests.config.test_conf import compose

FOUR = {
    "name": "four",
    "names": ["right_eye", "left_eye", "nose", "chin"],
    "parts": {"eyes": ["right_eye", "left_eye"], "middle": ["nose", "chin"]},
    "flip": {"right_eye": "left_eye"},
    "normaliser": ["right_eye", "left_eye"],
}
TAKE = [36, 45, 30, 8]


def started(*overrides: str, **changes: object) -> torch.nn.Module:
    """A net of four points that starts with the net of fkd."""
    cfg = compose(f"weights={weights.checkpoint(None)}", *overrides)
    OmegaConf.set_struct(cfg, False)
    cfg = OmegaConf.merge(cfg, {"schema": FOUR}, changes)
    module = build_module(cfg)  # type: ignore[arg-type]
    initialise(module, cfg)  # type: ignore[arg-type]
    return module.model


def test_by_a_mapping_its_points_are_found_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    crops = torch.randint(0, 256, (3, 1, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    model = started(weights_mapping={"points": 68, "take": TAKE}).eval()
    assert capsys.readouterr().out.endswith("): 81 of 81 tensors\n")
    expected = load_net(weights.checkpoint(None), "cpu").model(crops)[:, TAKE]
    found = model(crops)  # less what the 64 others said about these four
    assert (found - expected).norm(dim=-1).median() < 3


def test_without_one_all_but_the_points_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    model, other = started(), load_net(weights.checkpoint(None), "cpu").model
    assert capsys.readouterr().out.endswith("): 78 of 81 tensors; 4 points start fresh\n")
    state, given = model.net.state_dict(), other.net.state_dict()
    same = [name for name in state if state[name].shape == given[name].shape and torch.equal(state[name], given[name])]
    assert len(same) == 78


def test_strictly_another_schema_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"^weights=.*: expected a net with schema=four, found ibug68; give another file"
    ):
        started("weights_strict=true")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"points": 98, "take": TAKE}, "expected 4 of the 68 points of ibug68, found 4 of 98"),
        ({"points": 68, "take": [1, 2]}, "expected 4 of the 68 points of ibug68, found 2 of 68"),
        ({"points": 68, "take": [1, 2, 3, 68]}, "expected 4 of the 68 points"),
        ({"points": 68}, "expected points and take"),
        ({"points": 68, "take": "nose"}, "expected points and take"),
        (3, "expected points and take"),
    ],
)
def test_a_wrong_mapping_is_named(mapping: object, message: str) -> None:
    with pytest.raises(UserError, match=f"^weights_mapping: .*{message}"):
        started(weights_mapping=mapping)


def test_a_net_of_which_nothing_fits_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"^weights=.*: expected a net of which something fits model=simple, found model="
    ):
        started("model=simple")


def test_the_same_net_is_taken_whole() -> None:
    cfg = compose(f"weights={weights.NETS[0]}")
    module = build_module(cfg)
    initialise(module, cfg)
    given = load_net(weights.checkpoint(None), "cpu").model.net.state_dict()
    assert all(torch.equal(tensor, given[name]) for name, tensor in module.model.net.state_dict().items())


def test_colour_takes_all_but_the_first_layer(capsys: pytest.CaptureFixture[str]) -> None:
    started("channels=3")
    assert "): 77 of 81 tensors; 4 points start fresh\n" in capsys.readouterr().out
