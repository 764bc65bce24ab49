"""Times what fkd does, both sides of every ratio in one run: a table, and benchmark.json in the run folder.

python scripts/benchmark.py predict ckpt=outputs/.../checkpoints/best.ckpt data=udacity data.root=DIR
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
from omegaconf import DictConfig

from fkd import benchmark, experiment, images
from fkd.benchmark import Given, Row
from fkd.cli import command
from fkd.errors import UserError
from fkd.export import to_int8, to_onnx
from fkd.geometry import Crop, channels_first, square_around
from fkd.onnx import OnnxNet
from fkd.predictor import Predictor
from fkd.report import facts, show, write_json


@command("benchmark", positional="what")
def main(cfg: DictConfig) -> None:
    if cfg.what != "predict":
        raise UserError(f"what={cfg.what}: expected predict, as in python scripts/benchmark.py predict ckpt=PATH")
    with tempfile.TemporaryDirectory() as folder:
        rows = predict(cfg, Path(folder))
    show(*(benchmark.table(title, group) for title, group in rows.items()))
    write_json(Path(cfg.run_dir) / "benchmark.json", benchmark.as_json(rows))
    show(facts({"all figures": f"{cfg.run_dir}/benchmark.json"}))


def predict(cfg: DictConfig, scratch: Path) -> dict[str, list[Row]]:
    """Nets, detectors and both together on one thread; then a folder of photos with all that there are."""
    repeats, passes = (experiment.whole(cfg, key, least=2) for key in ("repeats", "passes"))
    detector, faces = experiment.build_detector(cfg), experiment.build_faces(cfg)
    table = faces.subset("test")
    table = table.take(np.random.default_rng(0).permutation(len(table))[: experiment.whole(cfg, "pictures", least=1)])
    frames = [faces.images[int(row)] for row in table.images]
    small = [cv2.resize(frame, (200, 200), interpolation=cv2.INTER_AREA) for frame in frames]
    scales = np.array([200 / np.array(frame.shape[1::-1]) for frame in frames], np.float32)
    squares = square_around((table.keypoints + np.float32(0.5)) * scales[:, None] - np.float32(0.5))
    wide = [benchmark.on_a_wide_photo(frame) for frame in frames]

    torch_net = experiment.load_net(cfg.ckpt, "cpu")
    windows = torch_net.window(square_around(table.keypoints))
    seen = [images.in_channels(frame, torch_net.channels) for frame in frames]
    crops = [Crop.from_box(window, torch_net.size).image(frame) for window, frame in zip(windows, seen, strict=True)]
    to_onnx(torch_net.module, torch_net.window, scratch / "net.onnx")
    to_int8(scratch / "net.onnx", scratch / "int8.onnx", np.stack([channels_first(crop) for crop in crops]))
    net, int8 = OnnxNet(scratch / "net.onnx"), OnnxNet(scratch / "int8.onnx")
    finds = Predictor(net, detector, flip=False, max_pixels=experiment.whole(cfg, "max_pixels", least=1))
    knows = Predictor(net, Given(detector, small, squares), flip=False, max_pixels=cfg.max_pixels)
    photos = benchmark.write_photos(frames, experiment.whole(cfg, "photos", least=1), scratch)

    rows = {f"{len(photos):,} photos in a folder": [*benchmark.folder(finds, photos, passes)]}
    benchmark.one_thread()
    return {
        "one face": [*benchmark.nets({"torch": torch_net, "ONNX": net, "ONNX int8": int8}, repeats)],
        "detector, 200 x 200": [*benchmark.detectors(small, detector, repeats)],
        "200 x 200": [*benchmark.pictures_to_faces({"detector": finds, "boxes given": knows}, small, repeats)],
        "1280 x 720": [*benchmark.pictures_to_faces({"detector": finds}, wide, repeats)],
        **rows,
    }


if __name__ == "__main__":
    main()
