import re
from pathlib import Path

import pytest
from hydra.errors import HydraException

from fkd.cli.arguments import arranged, overrides_of, quoted
from fkd.cli.messages import explain
from fkd.errors import UserError
from fkd.library_internals.hydra import parse


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "model=simple", "seed=0,1"],
        ["model=simple", "-m", "seed=0,1"],
        ["model=simple", "seed=0,1", "--multirun"],
        ["-m", "model=simple", "--multirun", "seed=0,1"],
    ],
)
def test_options_may_stand_anywhere(arguments: list[str]) -> None:
    *overrides, unnamed = [argument for argument in arranged(arguments) if argument[0] != "-"]
    assert overrides == ["model=simple", "seed=0,1"]
    assert unnamed == "hydra.job.config.override_dirname.exclude_keys=[model]"
    assert all(argument[0] == "-" for argument in arranged(arguments)[3:])


def test_the_value_of_an_option_stays_with_it() -> None:
    ordered = arranged(["-cp", "a=b/.hydra", "-cn", "config", "seed=1", "--cfg", "job", "~loss"])
    assert ordered[:2] == ["seed=1", "~loss"]
    assert ordered[3:] == ["-cp", "a=b/.hydra", "-cn", "config", "--cfg", "job"]


def test_one_run_is_no_sweep_though_m_is_given() -> None:
    assert "-m" not in arranged(["ckpt_path=last", "hydra.mode=RUN", "-m"])


@pytest.mark.parametrize("first", ["predict", "a/b c", "outputs/2026-*"])
def test_the_first_word_is_the_value_of_the_scripts_key(first: str) -> None:
    assert overrides_of([first, "other=1"], "runs", "compare") == [f"runs={first}", "other=1"]
    options = ["--cfg", "job", "~other"]
    assert overrides_of([*options, first], "runs", "compare") == [*options, f"runs={first}"]
    for arguments, key in (([first, "runs=x"], "runs"), ([first], "")):
        with pytest.raises(UserError, match=f"^{re.escape(first)}: expected key=value"):
            overrides_of(arguments, key, "compare")


def test_several_words_are_a_list_of_the_scripts_key() -> None:
    """As a shell makes them of a glob; each may hold what Hydra's grammar would take apart."""
    names = ["a.jpg", "b, (1).jpg", "it's.jpg", "[x].jpg"]
    argument, other = overrides_of([names[0], "output=o", *names[1:]], "input", "predict")
    (override,) = parse([argument])
    assert (override.key_or_group, override.value(), other) == ("input", names, "output=o")
    assert quoted(argument) == argument
    assert overrides_of(["~/a", "b"], "runs", "compare") == [f"runs=['{Path.home()}/a','b']"]


@pytest.mark.parametrize("name", ["a=b.jpg", "my photo=1.jpg", "it's (1)=x, y.jpg", "0_model=simple"])
def test_a_file_whose_name_holds_an_equals_sign_is_a_value(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for made in (name, "output=found", "detector=haar"):  # the last two are overrides nevertheless
        Path(made).touch()
    argument, *others = overrides_of([name, "output=found", "detector=haar"], "input", "predict")
    (override,) = parse([quoted(argument)])
    assert (override.key_or_group, override.value(), others) == ("input", name, ["output=found", "detector=haar"])


@pytest.mark.parametrize(
    ("argument", "key", "value"),
    [("my photo=1.jpg", "input", "my photo=1.jpg"), ("tags=a b=c'", "tags", "a b=c'"), ("x=(a\\", "x", "(a\\")],
)
def test_what_hydra_cannot_parse_is_shown_in_quotes_that_it_can(argument: str, key: str, value: str) -> None:
    with pytest.raises(HydraException) as error:
        parse([argument])
    line = explain(error.value, "predict", [argument])
    assert line.startswith(f"{argument}: expected ")
    (override,) = parse([line[:-1].partition('"')[2]])  # which stands in double quotes, as for a shell
    assert (override.key_or_group, override.value()) == (key, value)


def test_a_preset_alone_is_none_too_many() -> None:
    assert arranged(["sweep=seeds5", "experiment=face/compact,notebook/simple", "-m"])
    with pytest.raises(UserError, match="expected one preset"):
        arranged(["sweep=choice(seeds5,tpe)"])


def test_paths_of_a_list_may_hold_what_means_something_to_hydra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        quoted("ckpt=[1_model=simple/best.ckpt, it's (1).ckpt]")
        == r"ckpt=['1_model=simple/best.ckpt','it\'s (1).ckpt']"
    )
    assert quoted("ckpt=[a.ckpt,b.ckpt]") == "ckpt=[a.ckpt,b.ckpt]"
    Path("[a=1,b=2]").touch()
    assert quoted("ckpt=[a=1,b=2]") == "ckpt='[a=1,b=2]'"
