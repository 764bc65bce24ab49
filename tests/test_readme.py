"""What the README shows is true: its model trains, its commands and options exist."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import instantiate
from omegaconf import OmegaConf

from fkd.__main__ import summaries
from fkd.commands.new import write_project
from fkd.config import project
from fkd.config.build_module import build_module
from fkd.config.instantiate import instantiate as instantiate_target
from fkd.io import images
from fkd.schema import IBUG68, KeypointSchema
from fkd.synthetic import face
from fkd.types import Face
from tests.config.test_conf import CONF, compose
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text()
HEADINGS = re.findall(r"^#+ (.*)$", README, re.M)


def block(language: str, first_line: str) -> str:
    """The fenced block that starts with a line."""
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", README, re.S) if text.startswith(first_line))


def test_the_model_of_the_readme_is_done_after_its_class_and_its_file(tmp_path: Path) -> None:
    write_project(tmp_path, "readmelab")
    for language, name in (("python", "mylab/tiny.py"), ("yaml", "conf/model/tiny.yaml")):
        text = block(language, f"# {name}\n").replace("mylab", "readmelab")
        (tmp_path / "readmelab" / name.replace("mylab", "readmelab")).write_text(text)
    mine = project.find(tmp_path / "readmelab")
    assert mine is not None
    project.use([mine])
    try:
        net = build_module(compose("model=tiny"))
    finally:
        project.use([])
    assert type(net.model.net).__name__ == "Tiny"
    assert net(torch.zeros(2, 1, 96, 96, dtype=torch.uint8)).shape == (2, 68, 2)


@pytest.mark.parametrize(
    "group", ["data", "schema", "crop", "augmentation", "model", "loss", "optimizer", "scheduler", "trainer"]
)
def test_the_table_lists_every_option_of_a_group(group: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith(f"| `{group}` |"))
    listed = set(re.findall(r"`([a-z0-9_]+)`", row.split("|")[2]))
    assert listed == {path.stem for path in (CONF / group).glob("*.yaml")} - {"base"}


def test_every_detector_and_filter_is_named() -> None:
    table = README.split("| `detector=` |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == {p.stem for p in (CONF / "detector").glob("*.yaml")}
    for path in (CONF / "filter").glob("*.yaml"):
        assert re.search(rf"\b{path.stem}\b", README.split("## Face filters")[1], re.IGNORECASE), path.stem


def test_the_filter_of_the_readme_sits_on_an_eye(tmp_path: Path) -> None:
    """The file as it stands there, with an image of a disc."""
    disc = np.zeros((200, 200, 4), np.uint8)
    disc[90:111, 90:111] = (0, 255, 0, 255)
    images.write(tmp_path / "monocle.png", disc)
    text = block("yaml", "# conf/filter/monocle.yaml").replace("${conf:filter/monocle.png}", f"{tmp_path}/monocle.png")
    monocle = instantiate_target(OmegaConf.create(text), "filter")
    monocle.check(IBUG68)
    photo, points = face(2, 1, 0, 160)
    worn = monocle(photo, [Face(IBUG68, np.float32([20, 20, 140, 140]), 1.0, points)])
    x, y = points[42:48].mean(axis=0).round().astype(int)
    assert tuple(worn[y, x]) == (0, 255, 0)


def test_links_and_images_exist() -> None:
    headings = {"#" + re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in HEADINGS}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or target in headings or (PROJECT / target).is_file(), target


def test_the_schema_of_the_readme_is_one() -> None:
    mine = KeypointSchema.from_dict(yaml.safe_load(block("yaml", "# conf/schema/mine.yaml")))
    assert (mine.names[3], mine.flip, mine.lines) == ("chin", (1, 0, 2, 3), ((2, 3),))


def test_the_parameter_counts_are_those_of_the_nets() -> None:
    for name, count in re.findall(r"^\| `(\w+)` \| ([\d,]+) ", README, re.M):
        cfg = compose(f"model={name}", "crop.size=224")
        with torch.device("meta"):
            net = instantiate(cfg.model.net)
        assert sum(p.numel() for p in net.parameters()) == int(count.replace(",", "")), name


def commands() -> list[str]:
    """What the README tells one to type, each on one line."""
    blocks = "".join(re.findall(r"```bash\n(.*?)```", README, re.S)).replace("\\\n", " ").splitlines()
    inline = re.findall(r"`((?:fkd|python scripts/)[^`]+)`", README.replace("\n", " "))
    return [line for line in [*blocks, *inline] if line.startswith(("fkd ", "python scripts/"))]


@pytest.mark.parametrize("command", commands())
def test_a_shell_and_hydra_can_read_every_command(command: str) -> None:
    words = shlex.split(command.partition(" && ")[0], comments=True)
    overrides = [word for word in words[2:] if "=" in word and not word.startswith("-")]
    OverridesParser.create().parse_overrides(overrides)


@pytest.mark.parametrize("text", re.findall(r"`('?[a-z_./]+=[^`]*)`", README))
def test_hydra_can_read_every_override_that_is_named(text: str) -> None:
    words = [word for word in shlex.split(text) if "=" in word and "..." not in word]
    OverridesParser.create().parse_overrides(words)


def test_every_command_and_script_named_exists() -> None:
    for script in set(re.findall(r"scripts/\w+\.py", README)):
        assert Path(PROJECT / script).is_file()
    assert {line.split()[1] for line in commands() if line.startswith("fkd ")} <= summaries().keys()


def test_what_python_is_given_in_a_command_is_a_file() -> None:
    given = re.findall(
        r"(?:^|&& )\S*python3? (?!-)(\S+)", "\n".join(re.findall(r"```bash\n(.*?)```", README, re.S)), re.M
    )
    assert "scripts/train.py" in given
    assert [name for name in given if not (PROJECT / name).is_file()] == []


def dotted(content: object, start: str) -> set[str]:
    """The keys of a config, with a group's before them."""
    if not isinstance(content, dict):
        return set()
    return {f"{start}{key}" for key in content}.union(*(dotted(v, f"{start}{k}.") for k, v in content.items()))


def test_each_key_that_is_named_is_in_a_config() -> None:
    groups, known = (
        "model data loss optimizer scheduler augmentation callbacks crop detector distill filter",
        set[str](),
    )
    for path in CONF.rglob("*.yaml"):
        text, group = path.read_text(), path.relative_to(CONF).parts[0]
        known |= dotted(yaml.safe_load(text), "" if "@package _global_" in text else f"{group}.")
    named = set(re.findall(rf"`((?:{groups.replace(' ', '|')})\.[a-z_.0-9]+)(?:=[^`]*)?`", README))
    assert len(named) > 30
    assert named <= known
