import pytest

from fkd.errors import UserError
from fkd.training.runs import compatibility
from tests.config.test_conf import compose


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (["seed=7"], True),
        (["data.num_workers=3", "data.root=elsewhere", "tags=[a]", "logger=wandb", "optimizer.fused=false"], True),
        (["callbacks.overlays=null", "callbacks.progress=null"], True),
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
    assert (compatibility.digest(compose(*given), None) == compatibility.digest(compose(), None)) == same


def test_a_recipe_that_begins_with_weights_is_another_one() -> None:
    starts = (None, "a.ckpt", "b.ckpt")
    assert len({compatibility.digest(compose(), start) for start in starts}) == 3


def test_settings_are_groups_numbers_and_what_was_given() -> None:
    overrides = ["callbacks=early_stopping", "model=simple", "trainer.gradient_clip_val=1.5", "seed=3", "sweep=seeds5"]
    choices = dict.fromkeys(("loss", "optimizer", "scheduler", "data", "crop", "augmentation", "sweep"), "x")
    choices |= {"callbacks": "early_stopping", "model": "simple", "trainer": "default"}
    found = compatibility.settings(compose(*overrides[:-1]), choices, overrides)
    assert found.keys() == {
        *("model", "loss", "optimizer", "scheduler", "data", "crop", "augmentation", "callbacks"),
        *("optimizer.lr", "data.batch_size", "crop.size", "trainer.max_epochs", "seed", "trainer.gradient_clip_val"),
    }
    assert found["callbacks"] == "early_stopping"
    assert (found["seed"], found["trainer.gradient_clip_val"]) == (3, 1.5)


MOVED = ["data.root=/elsewhere", "data.cache_dir=/other", "data.num_workers=3"]


@pytest.mark.parametrize(
    ("data", "moved"),
    [
        *((name, MOVED) for name in ("udacity", "csv", "wflw", "pts")),
        ("udacity", ["data.download.url=https://example.org/faces.zip"]),
        ("mix", ["data.sources.udacity.root=/elsewhere", "data.sources.udacity.cache_dir=/other"]),
        ("mix", ["data.sources.synthetic.root=/elsewhere", "data.num_workers=2"]),
        ("udacity extra_train=synthetic", ["extra_train.root=/elsewhere"]),
    ],
    ids=str,
)
def test_data_that_have_moved_are_the_same(data: str, moved: list[str]) -> None:
    chosen = f"data={data}".split()
    here, there = compose(*chosen), compose(*chosen, *moved)
    assert compatibility.first_difference(compatibility.plain(here), there, ["data", "extra_train"]) is None
    assert compatibility.digest(here, None) == compatibility.digest(there, None)


@pytest.mark.parametrize("other", ["data.images=other", "data.split_seed=1", "data.files.subject=folder"])
def test_data_that_are_others_are_not(other: str) -> None:
    here, there = compose("data=csv"), compose("data=csv", other)
    key, *_ = compatibility.first_difference(compatibility.plain(here), there, ["data"]) or ("",)
    assert key.startswith("data.")
    assert compatibility.digest(here, None) != compatibility.digest(there, None)


PUBLISHED = "data.sources.udacity.label_shift=false"


@pytest.mark.parametrize(
    ("trained", "scored", "key"),
    [
        (["data=udacity", "data.label_shift=false"], ["data=udacity"], "data.label_shift=True: expected False"),
        (["data=mix", PUBLISHED], ["data=udacity"], "data.label_shift=True: expected False"),
        (["data=udacity"], ["data=mix", PUBLISHED], "data.sources.udacity.label_shift=False: expected True"),
        (["data=mix"], ["data=mix", PUBLISHED], "data.sources.udacity.label_shift=False: expected True"),
    ],
    ids=str,
)
def test_labels_of_another_kind_are_refused_wherever_they_are_mixed(
    trained: list[str], scored: list[str], key: str
) -> None:
    net = compatibility.plain(compose(*trained))
    compatibility.check_labels(compose(*trained), net)
    compatibility.check_labels(compose("data=synthetic"), net)
    with pytest.raises(UserError, match=f"^{key}, as this net was trained with"):
        compatibility.check_labels(compose(*scored), net)
