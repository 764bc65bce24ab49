"""Times what fkd does, both sides of every ratio in one run: a table, and benchmark.json in the run folder.

python scripts/benchmark.py predict ckpt=outputs/.../checkpoints/best.ckpt data=udacity data.root=DIR
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from omegaconf import DictConfig

from fkd import benchmark, experiment, images, options
from fkd.benchmark import Given, Row
from fkd.cli import command
from fkd.console import facts, show
from fkd.data.faces import Faces
from fkd.detect import Detector
from fkd.errors import UserError
from fkd.export import to_int8, to_onnx
from fkd.geometry import cut, square_around
from fkd.inference import TorchNet
from fkd.onnx import OnnxNet
from fkd.predictor import Predictor
from fkd.run import write_json
from fkd.types import Image

_CALIBRATION = 200  # crops


@command("benchmark", positional="what")
def main(cfg: DictConfig) -> None:
    if cfg.what != "predict":
        raise UserError(f"what={cfg.what}: expected predict, as in python scripts/benchmark.py predict ckpt=PATH")
    options.path(cfg, "ckpt")
    with tempfile.TemporaryDirectory() as folder:
        rows = predict(cfg, Path(folder))
    show(*(benchmark.table(title, group) for title, group in rows.items()))
    write_json(Path(cfg.run_dir) / "benchmark.json", benchmark.as_json(rows))
    show(facts({"all figures": f"{cfg.run_dir}/benchmark.json"}))


def predict(cfg: DictConfig, scratch: Path) -> dict[str, list[Row]]:
    """Nets, detectors and both together on one thread; then a folder of photos with all that there are."""
    repeats, passes = (options.whole(cfg, key, least=2) for key in ("repeats", "passes"))
    detector, faces = experiment.build_detector(cfg), experiment.build_faces(cfg)
    table = faces.subset("test")
    table = table.take(np.random.default_rng(0).permutation(len(table))[: options.whole(cfg, "pictures", least=1)])
    frames = [faces.images[int(row)] for row in table.images]
    small = [cv2.resize(frame, (200, 200), interpolation=cv2.INTER_AREA) for frame in frames]
    scales = np.array([200 / np.array(frame.shape[1::-1]) for frame in frames], np.float32)
    squares = square_around((table.keypoints + np.float32(0.5)) * scales[:, None] - np.float32(0.5))
    wide = [benchmark.on_a_wide_photo(frame) for frame in frames]

    torch_net = experiment.load_net(cfg.ckpt, "cpu")
    to_onnx(torch_net.module, torch_net.facts.window, scratch / "net.onnx")
    to_int8(scratch / "net.onnx", scratch / "int8.onnx", crops_of(faces, torch_net, detector))
    net, int8 = OnnxNet(scratch / "net.onnx"), OnnxNet(scratch / "int8.onnx")
    finds, knows = (
        Predictor(net, d, flip=False, max_pixels=images.MAX_PIXELS) for d in (detector, Given(detector, small, squares))
    )
    photos = benchmark.write_photos(frames, options.whole(cfg, "photos", least=1), scratch)

    threaded = [*benchmark.folder(finds, photos, passes)]
    benchmark.one_thread()
    return {
        "one face, one thread": [*benchmark.nets({"torch": torch_net, "ONNX": net, "ONNX int8": int8}, repeats)],
        "detectors, 200 x 200, one thread": [*benchmark.detectors(small, detector, repeats)],
        "200 x 200, one thread": [
            *benchmark.pictures_to_faces({"detector and ONNX": finds, "boxes given and ONNX": knows}, small, repeats)
        ],
        "1280 x 720, one thread": [*benchmark.pictures_to_faces({"detector and ONNX": finds}, wide, repeats)],
        f"{len(photos):,} photos in a folder, ONNX, all threads": threaded,
    }


def crops_of(faces: Faces, net: TorchNet, detector: Detector) -> Image:
    """Training crops (N, C, S, S) as in use, which set the ranges of 8-bit features."""
    table = faces.subset("train")
    rows = np.random.default_rng(0).permutation(len(table))[:_CALIBRATION]
    windows = net.facts.window(detector.spread(square_around(table.keypoints[rows]), np.random.default_rng(0)))
    seen = [images.in_channels(faces.images[int(image)], net.facts.channels) for image in table.images[rows]]
    return np.concatenate([cut(picture, w[None], net.facts.size)[1] for picture, w in zip(seen, windows, strict=True)])


if __name__ == "__main__":
    main()
