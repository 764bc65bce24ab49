"""`fkd.load`: a file alone is enough, and an exported one needs no torch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fkd
from fkd import detect, weights
from fkd.config.build_module import build_module
from fkd.errors import UserError
from fkd.geometry import Crop, channels_first, square_around
from fkd.inference import export
from fkd.inference.torch_net import load_net
from fkd.io import images
from fkd.shape_model import ShapeModel
from fkd.synthetic import face
from fkd.training.runs.compatibility import plain
from tests.config.test_conf import compose
from tests.conftest import PROJECT

PHOTO = face(3, 1, 0, 160)[0]
SHAPES = ShapeModel.fit(np.stack([face(0, subject, 0, 32)[1] for subject in range(30)]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained net as a checkpoint and as ONNX, and a photo."""
    import torch

    root = tmp_path_factory.mktemp("nets")
    cfg = compose("model=compact", "crop.size=32", "detector=whole_image")
    torch.manual_seed(0)
    module = build_module(cfg).eval()
    module.shapes = SHAPES
    torch.save(
        {
            "config": plain(cfg),
            "state_dict": module.state_dict(),
            "scores": {},
            "subjects": [],
            "shapes": SHAPES.to_dict(),
        },
        root / "net.ckpt",
    )
    net = load_net(root / "net.ckpt")
    export.to_onnx(net.model, net.metadata, root / "net.onnx")
    images.write(root / "photo.png", PHOTO)
    return root


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("name", ["net.ckpt", "net.onnx"])
def test_a_file_alone_finds_what_its_parts_find_by_hand(files: Path, name: str, flip: bool) -> None:
    (found,) = fkd.load(files / name, device="cpu", flip=flip)(files / "photo.png")
    net = load_net(files / "net.ckpt")
    grey = images.read(files / "photo.png", 1)
    square = detect.build(net.metadata.detector)(grey)[0]
    np.testing.assert_array_equal(found.box, square[0])
    crop = Crop.from_box(net.metadata.window(square)[0], 32)

    def answer(shown: np.ndarray) -> np.ndarray:
        import torch

        with torch.inference_mode():
            return net.model(torch.from_numpy(channels_first(np.ascontiguousarray(shown)[None])))[0].numpy()

    keypoints = answer(crop.image(grey))
    if flip:
        mirrored = answer(crop.image(grey)[:, ::-1])[list(found.schema.flip)] * [-1, 1] + [31, 0]
        keypoints = (keypoints + mirrored) / 2
    np.testing.assert_allclose(found.keypoints, crop.inverse_points(keypoints.astype(np.float32)), atol=1e-2)
    assert found.score is None
    np.testing.assert_array_equal(found.part("nose"), found.keypoints[27:36])


def test_an_exported_net_runs_where_there_is_no_torch(files: Path) -> None:
    program = """
import sys
for name in "torch torchvision pytorch_lightning hydra omegaconf albumentations matplotlib rich onnx".split():
    sys.modules[name] = None  # importing it fails
import json, fkd
(found,) = fkd.load("net.onnx")("photo.png")
json.dump([found.box.tolist(), found.keypoints.tolist()], open("found.json", "w"))
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", program], cwd=files, env=environment, check=True)
    box, keypoints = json.loads((files / "found.json").read_text())
    (found,) = fkd.load(files / "net.ckpt", device="cpu")(files / "photo.png")
    np.testing.assert_allclose(box, found.box, atol=1e-3)
    np.testing.assert_allclose(keypoints, found.keypoints, atol=1e-2)


@pytest.mark.parametrize("name", ["predict", "filter"])
def test_scripts_run_an_exported_net_without_torch(files: Path, name: str) -> None:
    program = f"""
import runpy, sys
for name in "torch torchvision pytorch_lightning albumentations matplotlib onnx".split():
    sys.modules[name] = None  # importing it fails
sys.argv = ["{name}.py", "ckpt=net.onnx", "input=photo.png", "output={name}"]
runpy.run_path({str(PROJECT / "scripts" / f"{name}.py")!r}, run_name="__main__")
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", program], cwd=files, env=environment, check=True)
    assert images.read(files / name / "photo.png", 3).shape == PHOTO.shape


def test_another_detector_takes_the_place_of_the_nets_own(files: Path) -> None:
    square = square_around(face(3, 1, 0, 160)[1])
    (files / "boxes.json").write_text(json.dumps({"photo.png": [square.tolist()]}))
    config = plain(compose("ckpt=x", "input=x", "output=x", "detector=boxes", name="predict"))["detector"]
    detector = detect.build(config | {"file": str(files / "boxes.json")})
    (found,) = fkd.load(files / "net.onnx", detector=detector)(files / "photo.png")
    np.testing.assert_allclose(found.box, square, atol=1e-3)


def test_wrong_files_and_devices_are_one_line(files: Path) -> None:
    (files / "text.onnx").write_text("no net")
    (files / "text.ckpt").write_text("no net")
    for name, options, expected in (
        ("no.onnx", {}, r"or an exported net \(\.onnx\), found no such file"),
        ("no.foo", {}, r"^ckpt=.*no\.foo: expected a checkpoint \(\.ckpt, .*\) or an exported net \(\.onnx\), found"),
        ("text.onnx", {}, "expected a net in ONNX"),
        ("text.ckpt", {}, "expected a checkpoint of fkd"),
        ("net.onnx", {"device": "cuda"}, "device=cuda: exported nets run on the processor"),
        ("net.ckpt", {"device": "tpu9"}, "device=tpu9: expected auto, cpu"),
    ):
        with pytest.raises(UserError, match=expected) as caught:
            fkd.load(files / name, **options)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_a_checkpoint_with_a_changed_byte_is_refused(files: Path) -> None:
    """Weights that are not those that were written would find points that are not there."""
    data = bytearray((files / "net.ckpt").read_bytes())
    data[len(data) // 2] ^= 1
    (files / "changed.ckpt").write_bytes(data)
    with pytest.raises(UserError, match=r"changed\.ckpt: the file is damaged"):
        fkd.load(files / "changed.ckpt")


def test_an_exported_net_is_not_called_a_broken_checkpoint(files: Path) -> None:
    with pytest.raises(UserError, match=r"expected a checkpoint \(\.ckpt\), found an exported net \(\.onnx\)"):
        load_net(files / "net.onnx")


def test_a_detector_is_no_name(files: Path) -> None:
    with pytest.raises(UserError, match="detector='haar': expected a detector object"):
        fkd.load(files / "net.onnx", detector="haar")  # type: ignore[arg-type]


def test_a_checkpoint_of_another_schema_is_one_line(files: Path) -> None:
    import torch

    content = torch.load(files / "net.ckpt", weights_only=True)
    for change, expected in (
        ({"config": content["config"] | {"schema": "wflw98"}}, "schema=wflw98: expected ibug68 or a schema"),
        ({"shapes": ShapeModel.fit(np.random.default_rng(0).normal(size=(9, 5, 2))).to_dict()}, "expected 68 points"),
        ({"config": content["config"] | {"detector": {"_target_": "os.system"}}}, "detector: expected _target_"),
    ):
        torch.save(content | change, files / "other.ckpt")
        with pytest.raises(UserError, match=expected):
            fkd.load(files / "other.ckpt")


def test_the_net_that_comes_with_fkd_finds_points_on_drawn_faces() -> None:
    """Well below the mean face's error of 25 %: on photographs it is better, on these it need only not be broken."""
    assert weights.checkpoint(None).stat().st_size < 4_000_000
    net, errors = fkd.load(device="cpu").net, []
    for subject in range(10):
        photo, points = face(11, subject, 0, 192)
        box = net.metadata.window(square_around(points))
        crop = Crop.from_box(box, net.metadata.size)
        found = net(channels_first(crop.image(images.in_channels(photo, 1))[None]))
        distances = np.linalg.norm(crop.inverse_points(found[0]) - points, axis=-1)
        errors.append(distances.mean() / np.linalg.norm(points[36] - points[45]))
    assert 100 * np.mean(errors) < 8


@pytest.mark.parametrize("name", weights.NETS)
def test_a_net_that_comes_with_fkd_is_found_by_its_name(name: str) -> None:
    """The exported net and the checkpoint of a name give the same points."""
    crop = channels_first(images.in_channels(PHOTO[32:128, 32:128], 1)[None])
    exported, trained = fkd.load(name).net, load_net(weights.checkpoint(name))
    np.testing.assert_allclose(exported(crop), trained(crop), atol=0.02)
    assert f"`{name}`" in Path(weights.__file__).with_name("README.md").read_text()  # its model card
    with pytest.raises(UserError, match=f"ckpt={name}s: .* no such file; .* are {', '.join(weights.NETS)}"):
        fkd.load(f"{name}s")


def test_the_nets_that_come_with_fkd_are_small() -> None:
    files = [path for path in Path(weights.__file__).parent.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files if path != weights.FACE_DETECTOR) < 8 * 2**20
    assert weights.FACE_DETECTOR.stat().st_size < 10**6


def test_nothing_of_the_place_where_it_was_trained_is_in_it() -> None:
    content = weights.checkpoint(None).read_bytes()
    assert b'\\"root\\"' not in content
    assert b"cache_dir" not in content
