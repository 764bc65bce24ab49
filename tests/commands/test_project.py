"""A project of one's own, from `fkd new` to a net that is used, with the commands that its README names."""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fkd.commands.new import write_project
from fkd.io import images
from fkd.synthetic.render import face

TINY = ("trainer=debug", "crop.size=32", "data.batch_size=8", "data.num_workers=0", "data.subjects=12")
DATA = ("data.frames=3", "data.size=96", "callbacks.overlays=null")


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in a folder; it must end well."""
    done = fails(folder, *words)
    assert done.returncode == 0, done.stderr
    return done


def fails(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a net of its own, trained."""
    folder = tmp_path_factory.mktemp("projects")
    write_project(folder, "facelab")
    run(folder / "facelab", "-m", "fkd", "train", "experiment=first", *TINY, *DATA, "hydra.run.dir=outputs/one")
    images.write(folder / "photo.jpg", face(0, 0, 0, 256)[0])
    return folder / "facelab"


def test_what_is_its_own_was_used(project: Path) -> None:
    result = json.loads((project / "outputs/one/result.json").read_text())
    settings = result["settings"]
    assert (settings["model"], settings["loss"], settings["augmentation"]) == ("tiny", "huber", "dark")
    assert (project / "data/synthetic").is_dir(), "data and outputs lie where the command was typed"


def test_its_net_finds_points_in_the_project(project: Path) -> None:
    done = run(
        project, "-m", "fkd", "predict", "input=../photo.jpg", "output=found", "ckpt=outputs/one/checkpoints/best.ckpt"
    )
    assert f"project {project} (package facelab)" in done.stdout
    assert (project / "found/predictions.json").is_file()


def test_elsewhere_the_net_is_refused_until_its_package_is_trusted(project: Path) -> None:
    ckpt = project / "outputs/one/checkpoints/best.ckpt"
    done = fails(project.parent, "-m", "fkd", "predict", "input=photo.jpg", "output=found", f"ckpt={ckpt}")
    assert done.returncode == 2
    assert "found _target_ 'facelab.tiny.Tiny'; if it is of a package of yours, trust that" in done.stderr
    load = f"fkd.load({str(ckpt)!r}, trusted=['facelab'])"
    code = f"import sys; sys.path.append({str(project)!r}); import fkd; print(type({load}.net.model.net))"
    assert run(project.parent, "-c", code).stdout == "<class 'facelab.tiny.Tiny'>\n"


def test_help_and_near_misses_know_what_is_its_own(project: Path) -> None:
    text = run(project, "-m", "fkd", "train", "--help").stdout
    assert "| tiny |" in text
    assert "first  " in text
    done = fails(project, "-m", "fkd", "train", "model=tniy")
    assert (done.returncode, done.stderr[:60]) == (2, "error: model=tniy: no such option; did you mean tiny? choose")


def test_a_sweep_with_joblib_trains_its_nets_in_processes_of_their_own(project: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    sweep = ("-m", "hydra/launcher=joblib", "model=tiny", "loss=huber,mse", "hydra.sweep.dir=outputs/two")
    done = run(project, "-m", "fkd", "train", *sweep, *TINY, *DATA, "test=false")
    assert len(list((project / "outputs/two").glob("*/checkpoints/best.ckpt"))) == 2, done.stderr
    assert "look closer: fkd compare outputs/two" in done.stdout


def test_a_search_with_optuna_trains_its_net(project: Path) -> None:
    pytest.importorskip("optuna")
    search = ("sweep=tpe", "model=tiny", "loss=huber,mse", "hydra.sweeper.n_trials=2", "hydra.sweep.dir=outputs/search")
    done = run(project, "-m", "fkd", "train", *search, *TINY, *DATA, "test=false")
    assert len(json.loads((project / "outputs/search/search.json").read_text())["trials"]) == 2, done.stderr


def test_in_another_project_its_net_is_refused_too(project: Path, tmp_path: Path) -> None:
    write_project(tmp_path, "otherlab")
    ckpt = f"ckpt={project}/outputs/one/checkpoints/best.ckpt"
    done = fails(tmp_path / "otherlab", "-m", "fkd", "evaluate", ckpt, "data.subjects=12")
    assert done.returncode == 2
    assert "found _target_ 'facelab.tiny.Tiny'" in done.stderr
    assert not list((tmp_path / "otherlab/outputs").glob("**/metrics.json"))


def test_a_project_that_was_moved_resumes_what_was_cut(tmp_path: Path) -> None:
    write_project(tmp_path, "facelab")
    old, new = tmp_path / "facelab", tmp_path / "moved"
    long = ("model=tiny", "loss=huber", *TINY, *DATA, "trainer=cpu", "trainer.max_epochs=40", "test=false")
    command = [sys.executable, "-m", "fkd", "train", *long, "hydra.run.dir=outputs/cut"]
    process = subprocess.Popen(command, cwd=old, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not (old / "outputs/cut/checkpoints/last.ckpt").exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    process.kill()
    process.wait()
    old.rename(new)
    before = len((new / "outputs/cut/metrics.csv").read_text().splitlines())
    done = run(new, "-m", "fkd", "train", "resume=outputs/cut")
    assert f"project {new} (package facelab)" in done.stdout
    assert json.loads((new / "outputs/cut/result.json").read_text())["status"] == "done"
    assert "epoch  1/40" not in done.stdout
    assert len((new / "outputs/cut/metrics.csv").read_text().splitlines()) > before
    assert not old.exists()


@pytest.mark.parametrize("outside", [False, True])
def test_a_run_resumes_from_another_folder_with_the_project_that_made_it(
    project: Path, tmp_path: Path, outside: bool
) -> None:
    """Wherever its own folder lies."""
    folder = project / "outputs/one"
    if outside:
        folder = shutil.copytree(folder, tmp_path / "one")
    write_project(tmp_path, "otherlab")
    for typed_in in (tmp_path, tmp_path / "otherlab"):
        done = run(typed_in, "-m", "fkd", "train", f"resume={folder}")
        assert f"project {project} (package facelab)" in done.stdout
        assert "otherlab (" not in done.stdout
        assert "done, nothing is left to do" in done.stdout
    code = f"import fkd; print(fkd.train(['resume={folder}']))"
    assert "done, nothing is left to do" in run(tmp_path, "-c", code).stdout


def test_a_config_folder_without_a_project_does_the_same(project: Path, tmp_path: Path) -> None:
    (tmp_path / "configs/model").mkdir(parents=True)
    (tmp_path / "configs/model/mine.yaml").write_text("defaults: [compact]\nname: mine\n")
    done = run(
        tmp_path, "-m", "fkd", "train", "--config-dir", "configs", "model=mine", "--cfg", "job", "-p", "model.name"
    )
    assert done.stdout.splitlines()[-1] == "mine"
    wrong = fails(tmp_path, "-m", "fkd", "train", "--config-dir", "nowhere", "model=mine")
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: --config-dir nowhere: expected a folder of configs, found none\n",
    )


def test_a_config_that_hides_one_of_fkd_is_said_aloud(tmp_path: Path) -> None:
    write_project(tmp_path, "facelab")
    (tmp_path / "facelab/conf/model/compact.yaml").write_text("defaults: [base]\nname: compact\n")
    done = run(tmp_path / "facelab", "-m", "fkd", "train", "--cfg", "job", "-p", "model.name")
    assert "its conf/ has files in the place of fkd's own: model/compact.yaml" in done.stdout


def test_a_package_that_cannot_be_imported_shows_its_own_traceback_once(tmp_path: Path) -> None:
    write_project(tmp_path, "facelab")
    file = tmp_path / "facelab/facelab/tiny.py"
    file.write_text(f"import nothing_of_this_name\n{file.read_text()}")
    done = fails(tmp_path / "facelab", "-m", "fkd", "train", "model=tiny", *TINY, *DATA)
    assert done.returncode == 1
    assert done.stderr.count('tiny.py", line 1') == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'nothing_of_this_name'\n")


def test_each_thing_of_how_to_add_works(tmp_path: Path) -> None:
    """All files of the page, written as they stand there, in one training, and the filter on a photo."""
    write_project(tmp_path, "facelab")
    root = tmp_path / "facelab"
    blocks = re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", (root / "HOW_TO_ADD.md").read_text(), re.S)
    assert len(blocks) == 15
    for name, text in blocks:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "faces").mkdir()
    listed = []
    for subject in range(24):
        photo, points = face(0, subject, 0, 128)
        images.write(root / f"faces/{subject}.png", photo)
        listed.append({"image": f"{subject}.png", "points": points[[36, 45, 30, 8]].tolist()})
    (root / "faces/faces.json").write_text(json.dumps(listed))
    patch = np.full((100, 100, 4), 255, np.uint8)
    patch[:10, :, 3] = 0
    images.write(root / "conf/filter/patch.png", patch)

    own = ("optimizer=nadam", "scheduler=steps", "augmentation=noisy", "callbacks=bell", "schema=four", "data=mine")
    small = (
        "detector=middle",
        "data.root=faces",
        "trainer=debug",
        "crop.size=32",
        "data.batch_size=4",
        "data.num_workers=0",
    )
    train = ("-m", "fkd", "train", *own, *small)
    run(root, *train, "model=heatmap", "loss=map_l1", "test=false")
    done = run(root, *train, "model=inside", "loss=huber", "hydra.run.dir=outputs/one")
    assert "24 faces" in done.stdout
    assert "bell: " in done.stdout
    result = json.loads((root / "outputs/one/result.json").read_text())
    assert result["test"]["faces"] > 0
    ckpt = "ckpt=outputs/one/checkpoints/best.ckpt"
    run(root, "-m", "fkd", "predict", "faces/0.png", "output=found", ckpt)
    (found,) = json.loads((root / "found/predictions.json").read_text())
    assert [len(each["keypoints"]) for each in found["faces"]] == [4]

    photo = face(0, 0, 0, 256)[0]
    images.write(root / "photo.png", photo)
    run(root, "-m", "fkd", "filter", "photo.png", "output=worn", "filter=patch")
    changed = np.abs(images.read(root / "worn/photo.png", 3).astype(int) - photo).max(axis=2) > 20
    assert 20 < changed.sum() < 20_000


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "conf/model/tiny.yaml",
            "tiny.Tiny",
            "tiny.Tinny",
            "model=tiny: found _target_ 'facelab.tiny.Tinny', but Python finds no net, codec or crop Tinny that is",
        ),
        (
            "conf/model/tiny.yaml",
            "tiny.Tiny",
            "tinyy.Tiny",
            "model=tiny: found _target_ 'facelab.tinyy.Tiny', but there is no module facelab.tinyy; "
            "did you mean tiny?\n",
        ),
        (
            "facelab/losses.py",
            "return errors.sum() / (2 * visible.sum()).clamp(min=1)",
            "return errors.sum(dim=2)",
            "loss: expected one number, a mean over all labelled points of the batch, found shape (2, 68)\n",
        ),
        (
            "facelab/losses.py",
            "(raw, target, reduction",
            "(raw.detach(), target, reduction",
            "loss: expected a value with a gradient, found one without; compute it with torch from raw\n",
        ),
        (
            "facelab/losses.py",
            "raw: Tensor, target: Tensor, visible: Tensor",
            "raw: Tensor, target: Tensor",
            "loss: expected forward(raw, target, visible) -> mean loss, found forward(raw: ",
        ),
    ],
)
def test_a_slip_in_the_project_is_one_line(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    write_project(tmp_path, "facelab")
    path = tmp_path / "facelab" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    done = fails(tmp_path / "facelab", "-m", "fkd", "train", "model=tiny", "loss=huber", *TINY, *DATA)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {message}")


@pytest.mark.parametrize(
    ("file", "old", "new", "note"),
    [
        (
            "facelab/tiny.py",
            "self.layers(image)",
            "self.layers(image[0, 0])",
            "model=tiny: its forward failed on an image of shape (1, 1, 32, 32)",
        ),
        (
            "facelab/losses.py",
            "visible[..., None]",
            "visible[0]",
            "loss: its forward failed on tensors of shapes raw and target (2, 68, 2), visible (2, 68)",
        ),
    ],
)
def test_an_exception_of_the_projects_code_ends_with_the_key(
    tmp_path: Path, file: str, old: str, new: str, note: str
) -> None:
    write_project(tmp_path, "facelab")
    path = tmp_path / "facelab" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    done = fails(tmp_path / "facelab", "-m", "fkd", "train", "model=tiny", "loss=huber", *TINY, *DATA)
    assert done.returncode == 1
    assert f'File "{path}", line' in done.stderr
    assert done.stderr.splitlines()[-1] == note


def test_a_syntax_error_in_the_project_names_its_file(tmp_path: Path) -> None:
    write_project(tmp_path, "facelab")
    path = tmp_path / "facelab/facelab/tiny.py"
    path.write_text(path.read_text() + "x = 1 +\n")
    done = fails(tmp_path / "facelab", "-m", "fkd", "train", "model=tiny", *TINY, *DATA)
    assert done.returncode == 1
    assert f'File "{path}", line' in done.stderr
