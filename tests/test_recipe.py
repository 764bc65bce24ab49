import pytest

from fkd import recipe
from tests.test_conf import compose


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (["seed=7"], True),
        (["data.num_workers=3", "data.root=elsewhere", "tags=[a]", "logger=wandb", "optimizer.fused=false"], True),
        (["data.subjects=9"], False),
        (["callbacks=early_stopping"], False),
        (["callbacks.best.save_top_k=2"], False),
        (["model.net.stem=8"], False),
        (["debug=overfit"], False),
        (["data.batch_size=63"], False),
    ],
    ids=str,
)
def test_a_recipe_is_what_is_learned(given: list[str], same: bool) -> None:
    assert (recipe.digest(compose(*given), None) == recipe.digest(compose(), None)) == same


def test_a_recipe_that_begins_with_weights_is_another_one() -> None:
    starts = (None, "a.ckpt", "b.ckpt")
    assert len({recipe.digest(compose(), start) for start in starts}) == 3


def test_settings_are_groups_numbers_and_what_was_given() -> None:
    overrides = ["callbacks=early_stopping", "model=simple", "+trainer.gradient_clip_val=1.5", "seed=3", "sweep=seeds5"]
    choices = dict.fromkeys(("loss", "optimizer", "scheduler", "data", "crop", "augmentation", "sweep"), "x")
    choices |= {"callbacks": "early_stopping", "model": "simple", "trainer": "default"}
    found = recipe.settings(compose(*overrides[:-1]), choices, overrides)
    assert found.keys() == {
        *("model", "loss", "optimizer", "scheduler", "data", "crop", "augmentation", "callbacks"),
        *("optimizer.lr", "data.batch_size", "crop.size", "trainer.max_epochs", "seed", "trainer.gradient_clip_val"),
    }
    assert found["callbacks"] == "early_stopping"
    assert (found["seed"], found["trainer.gradient_clip_val"]) == (3, 1.5)
