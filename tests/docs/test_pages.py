"""What the pages show is true: their model and loss train, their tables are complete, their links lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

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
from tests.docs.pages import PAGES, TEXT, block


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 150


def test_the_model_and_the_loss_of_the_pages_are_done_after_a_class_and_a_file_each(tmp_path: Path) -> None:
    write_project(tmp_path, "readmelab")
    for language, name in (
        ("python", "mylab/tiny.py"),
        ("yaml", "conf/model/tiny.yaml"),
        ("python", "mylab/losses.py"),
        ("yaml", "conf/loss/huber.yaml"),
    ):
        text = block(language, f"# {name}\n").replace("mylab", "readmelab")
        (tmp_path / "readmelab" / name.replace("mylab", "readmelab")).write_text(text)
    mine = project.find(tmp_path / "readmelab")
    assert mine is not None
    project.use([mine])
    try:
        net = build_module(compose("model=tiny", "loss=huber"))
    finally:
        project.use([])
    assert type(net.model.net).__name__ == "Tiny"
    assert net(torch.zeros(2, 1, 96, 96, dtype=torch.uint8)).shape == (2, 68, 2)
    raw, target = torch.zeros(1, 2, 2), torch.tensor([[[0.01, 0.0], [float("nan"), 9.0]]])
    loss = net.objective.loss(raw, target, torch.tensor([[True, False]]))
    torch.testing.assert_close(loss, torch.tensor(0.01**2 / 2 / 2))


GROUPS = (
    "data schema crop augmentation extra_train model loss optimizer scheduler trainer callbacks logger distill"
    " sweep debug hydra/launcher"
)


@pytest.mark.parametrize("group", GROUPS.split())
def test_the_table_lists_every_option_of_a_group(group: str) -> None:
    row = next(line for line in PAGES["docs/train.md"].splitlines() if line.startswith(f"| `{group}` |"))
    listed = set(re.findall(r"`([a-z0-9_]+)`", row.split("|")[2]))
    assert listed == {path.stem for path in (CONF / group).glob("*.yaml")} - {"base"}


def test_every_detector_and_filter_is_named() -> None:
    page = PAGES["docs/use.md"]
    table = page.split("| `detector=` |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.M)) == {p.stem for p in (CONF / "detector").glob("*.yaml")}
    for path in (CONF / "filter").glob("*.yaml"):
        assert re.search(rf"\b{path.stem}\b", page.split("## Face filters")[1]), path.stem


def test_the_filter_of_the_page_sits_on_an_eye(tmp_path: Path) -> None:
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


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), re.M)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "fkd/weights/README.md"])
def test_links_and_images_exist(name: str) -> None:
    """Those of docs/ are checked by Sphinx."""
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[name]):
        path, _, anchor = target.partition("#")
        file = (PROJECT / name).parent / path
        assert target.startswith("https://") or file.is_file(), target
        assert not anchor or target.startswith("https://") or anchor in slugs(file.read_text()), target


def test_every_page_is_in_the_contents() -> None:
    listed = set(re.findall(r"^(?:[^\n`]* <)?([a-z_/]+)>?$", PAGES["docs/index.md"].split("```{toctree}", 1)[1], re.M))
    assert {name[5:-3] for name in PAGES if name.startswith("docs/")} - {"index"} == listed


def test_the_schema_of_the_page_is_one() -> None:
    mine = KeypointSchema.from_dict(yaml.safe_load(block("yaml", "# conf/schema/mine.yaml")))
    assert (mine.names[3], mine.flip, mine.lines) == ("chin", (1, 0, 2, 3), ((2, 3),))


def test_the_parameter_counts_are_those_of_the_nets() -> None:
    counts = re.findall(r"^\| `(\w+)` \| ([\d,]+) ", PAGES["docs/train.md"], re.M)
    assert len(counts) == 8
    for name, count in counts:
        cfg = compose(f"model={name}", "crop.size=224")
        with torch.device("meta"):
            net = instantiate(cfg.model.net)
        assert sum(p.numel() for p in net.parameters()) == int(count.replace(",", "")), name


def test_the_keys_of_a_face_are_those_of_predictions() -> None:
    keys = Face(IBUG68, np.zeros(4, np.float32), 1.0, face(0, 0, 0, 64)[1], id=0).to_dict().keys()
    table = PAGES["docs/reference/files.md"].split("| key of a face |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines()[2:]))) == keys


def test_citation_and_package_have_one_version() -> None:
    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text())
    assert f'version = "{citation["version"]}"' in (PROJECT / "pyproject.toml").read_text()
    assert f"## {citation['version']}" in (PROJECT / "CHANGELOG.md").read_text()
    assert "TODO" not in TEXT
