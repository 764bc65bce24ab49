"""The worst faces are cut from the images that the runs were tested on, if these are here."""

import base64
import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from omegaconf import OmegaConf

from fkd import synthetic
from fkd.comparison import overlays, tested
from fkd.comparison.tested import FaceErrors
from fkd.config.faces import build_faces
from fkd.data.face_data import Faces
from fkd.data.shards.writer import Storage
from fkd.data.shards.writer import write as write_shards
from fkd.data.sources.udacity import udacity
from fkd.errors import UserError
from fkd.evaluation.evaluate import Scores
from fkd.evaluation.report import save_faces
from fkd.io import images
from fkd.visualization.draw import PREDICTED, TARGET
from tests.comparison.folders import write_run
from tests.config.test_conf import compose


def source(root: Path, cache: Path) -> dict[str, object]:
    options = {"split": "official", "val_share": 0.3, "test_share": 0.3, "seed": 0, "label_shift": False, "channels": 1}
    return {"root": str(root), "cache_dir": str(cache), "exclude": None, **options}


@pytest.fixture
def config(faces_root: Path, tmp_path: Path) -> dict[str, object]:
    return {"_target_": "fkd.data.sources.udacity.udacity", **source(faces_root, tmp_path / "cache")}


@pytest.fixture
def faces(faces_root: Path, tmp_path: Path) -> Faces:
    return udacity(**source(faces_root, tmp_path / "cache"))


def read(folder: Path) -> FaceErrors:
    found = tested.read(folder)
    assert found is not None
    return found


def decoded(uri: str) -> np.ndarray:
    data = np.frombuffer(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,")), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def share(image: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(image.astype(int) - colour).max(axis=2) < 90).mean())


def test_the_worst_on_average_come_first_and_show_both_kinds_of_points(
    tmp_path: Path, faces: Faces, config: dict[str, object]
) -> None:
    table = faces.subset("test")
    shuffled = table.take(np.arange(len(table))[::-1].copy())
    folders = [
        write_run(tmp_path / "a", nme=5.0, faces=table, source=config, noise=1),
        write_run(tmp_path / "b", nme=6.0, faces=shuffled, source=config, noise=2),
    ]
    runs = [read(folder) for folder in folders]
    mean = (runs[0].nme + runs[1].nme[::-1]) / 2
    rows = overlays.worst(runs, folders[0], 3)
    assert [row.name for row in rows] == table.paths[np.argsort(-mean)[:3]].tolist()
    for row, face in zip(rows, np.argsort(-mean), strict=False):
        expected = (runs[0].nme[face], runs[1].nme[::-1][face])
        assert [cell.caption for cell in row.cells] == [f"{error:.1f} %" for error in expected]
    for cell in rows[0].cells:
        image = decoded(cell.image)
        assert image.shape == (224, 224, 3)
        assert share(image, TARGET) > 0.002
        assert share(image, PREDICTED) > 0.002


def test_names_of_folders_are_those_that_the_run_saw(
    tmp_path: Path, faces: Faces, config: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "set").symlink_to(str(config["root"]))
    monkeypatch.chdir(there)
    folder = write_run(tmp_path / "a", faces=faces.subset("test"), source=config | {"root": "set", "cache_dir": "c"})
    monkeypatch.chdir(tmp_path)
    assert len(overlays.worst([read(folder)], folder, 2)) == 2
    assert not (tmp_path / "c").exists()


def test_without_the_images_the_reason_is_given(tmp_path: Path, faces: Faces, config: dict[str, object]) -> None:
    table = faces.subset("test")
    gone = write_run(tmp_path / "a", faces=table, source=config | {"root": str(tmp_path / "gone")})
    with pytest.raises(UserError, match="gone: the run's data are not here"):
        overlays.worst([read(gone)], gone, 2)
    assert not (tmp_path / "gone").exists()
    changed = write_run(tmp_path / "b", faces=table, source=config | {"depth": 3})
    with pytest.raises(UserError, match="depth"):
        overlays.worst([read(changed)], changed, 2)
    (changed / ".hydra" / "config.yaml").write_text("[")
    with pytest.raises(UserError, match="cannot be built again"):
        overlays.worst([read(changed)], changed, 2)


MADE = "made_by_an_untrusted_config"


class Maker:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.makedirs, (MADE,)


@pytest.mark.parametrize(
    "call",
    [
        {"_target_": "os.makedirs", "name": MADE},
        {"_target_": "fkd.data.dataset.np.load", "file": "pickled", "allow_pickle": True},
        {"_target_": "fkd.data.cache.os.system", "command": f"mkdir {MADE}"},
        {"_target_": "fkd.data.cache.whole_file", "path": MADE},  # a function that a module of sources has imported
        {"_target_": "fkd.data.cache.ImageCache.build", "directory": MADE},
        {"_target_": "fkd.data.cache._write"},  # at home there, and no source
        {"_target_": "fkd.data.sources.parsing.below"},
        {"_target_": "fkd.data.gone.gone"},
        {"_target_": "fkd.data.sources.udacity"},
        {"_target_": "fkd.data..udacity"},
        {"_target_": "udacity"},
        {"_target_": ["os.makedirs"]},
        {},
    ],
    ids=lambda call: str(call.get("_target_")),
)
def test_an_untrusted_config_calls_nothing_but_sources(
    tmp_path: Path, faces: Faces, call: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pickled").write_bytes(pickle.dumps(Maker()))
    folder = write_run(tmp_path / "a", faces=faces.subset("test"), source=call)
    with pytest.raises(UserError, match=r"expected a function of fkd that gives faces, found"):
        overlays.worst([read(folder)], folder, 2)
    assert not Path(MADE).exists()


@pytest.mark.parametrize("place", [["seed"], ["files"], ["sources", "a", "source"], ["columns", 0]], ids=str)
@pytest.mark.parametrize(
    "call", [{"_target_": "os.makedirs", "name": MADE}, f"\\${{oc.create:'{{_target_: os.makedirs, name: {MADE}}}'}}"]
)
def test_what_an_untrusted_source_is_given_is_not_called(
    tmp_path: Path,
    faces: Faces,
    config: dict[str, object],
    call: object,
    place: list[str | int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = call
    for part in reversed(place):
        given = [given] if part == 0 else {part: given}
    folder = write_run(tmp_path / "a", faces=faces.subset("test"), source={**config, **given})  # type: ignore[dict-item]
    with pytest.raises(UserError, match=r"data\.source\.|cannot be built again"):
        overlays.worst([read(folder)], folder, 2)
    assert not Path(MADE).exists()


def test_a_face_that_all_runs_missed_compares_nothing(tmp_path: Path, faces: Faces, config: dict[str, object]) -> None:
    table = faces.subset("test")
    folders = [write_run(tmp_path / name, faces=table, source=config) for name in "ab"]
    for folder, missed in zip(folders, ([0, 1], [0, 2]), strict=True):
        with np.load(folder / "test_faces.npz") as file:
            arrays = dict(file)
        arrays["missed"][missed] = True
        arrays["nme"][missed] = 90.0
        np.savez_compressed(folder / "test_faces.npz", **arrays)
    rows = overlays.worst([read(folder) for folder in folders], folders[0], 2)
    assert {row.name for row in rows} == set(table.paths[[1, 2]].tolist())
    assert sorted(cell.caption == "missed" for row in rows for cell in row.cells) == [False, False, True, True]


@pytest.fixture
def table_of_faces(tmp_path: Path) -> Path:
    """A CSV file with images beside it; the jaw of one face alone is known."""
    root = tmp_path / "csv"
    root.mkdir()
    lines = [",".join(["name", *(f"{axis}{i}" for i in range(68) for axis in "xy")])]
    for number in range(12):
        image, points = synthetic.face(0, number, 0, 128)
        images.write(root / f"{number}.png", image)
        cells = [f"{value:.2f}" if i >= 34 or not number else "" for i, value in enumerate(points.ravel().tolist())]
        lines.append(",".join([f"{number}.png", *cells]))
    (root / "train.csv").write_text("\n".join(lines))
    return root


def run_on(folder: Path, *overrides: str) -> tuple[Path, Faces]:
    """A run with this config, and its faces."""
    cfg = compose(*overrides)
    faces = build_faces(cfg)
    write_run(folder, faces=faces.subset("test"))
    OmegaConf.save(cfg, folder / ".hydra" / "config.yaml")
    return folder, faces


@pytest.mark.parametrize("data", ["csv", "mix", "shards"])
def test_any_source_is_built_again(tmp_path: Path, table_of_faces: Path, data: str) -> None:
    given = {
        "csv": [f"data.root={table_of_faces}", f"data.cache_dir={tmp_path}/cache"],
        "mix": [
            *("~data.sources.udacity", "data.sources.synthetic.subjects=6", "data.sources.synthetic.frames=2"),
            *("data.sources.synthetic.size=96", f"data.sources.synthetic.root={tmp_path}/drawn"),
        ],
        "shards": [f"data.root={tmp_path}/shards"],
    }
    if data == "shards":
        (tmp_path / "shards").mkdir()
        source = build_faces(compose("data=csv", *given["csv"]))
        write_shards(source, 1, tmp_path / "shards", Storage("raw", 95, size=7, seed=0))
    folder, faces = run_on(tmp_path / "run", f"data={data}", *given[data])
    rows = overlays.worst([read(folder)], folder, 2)
    assert {row.name for row in rows} <= set(faces.subset("test").paths.tolist())
    assert len(rows) == 2


def test_points_that_nobody_labelled_are_not_drawn_as_the_truth(tmp_path: Path, table_of_faces: Path) -> None:
    folder, faces = run_on(
        tmp_path / "run", "data=csv", f"data.root={table_of_faces}", f"data.cache_dir={tmp_path}/cache"
    )
    table = faces.subset("test")
    older = overlays.worst([read(folder)], folder, 1)
    with np.load(folder / "test_faces.npz") as file:
        arrays = dict(file)
    count = len(table)
    scores = Scores(
        {}, {}, arrays["window"], ~arrays["missed"], arrays["preds"], arrays["target"], arrays["nme"], np.ones(count)
    )
    save_faces(folder, scores, faces, "test")
    with np.load(folder / "test_faces.npz") as file:
        np.testing.assert_array_equal(file["visible"], table.visible)
        assert not file["visible"][:, :17].any()
    newer = overlays.worst([read(folder)], folder, 1)
    green = [share(decoded(row.cells[0].image), TARGET) for row in (*older, *newer)]
    assert green[1] < 0.85 * green[0]
    assert green[1] > 0.002
