from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fkd.detect.detector_net import detector_net
from fkd.detector_training.net import MapNet
from fkd.detector_training.onnx_export import to_onnx


def small() -> MapNet:
    torch.manual_seed(1)
    net = MapNet([4, 8, 8, 12, 16], [1, 1, 1], 8)
    for module in net.modules():  # running means of another value than the initial one
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()  # type: ignore[union-attr]
    return net.eval()


@pytest.mark.parametrize("size", [(32, 32), (96, 64), (320, 608)])
def test_a_map_has_a_cell_for_eight_pixels(size: tuple[int, int]) -> None:
    maps = small()(torch.zeros(2, 1, *size, dtype=torch.uint8))
    assert maps.shape == (2, 6, size[0] // 8, size[1] // 8)


def test_a_moved_image_gives_moved_maps() -> None:
    net, image = small(), np.zeros((1, 1, 1024, 1024), np.uint8)
    image[..., 480:540, 490:540] = np.random.default_rng(0).integers(0, 255, (60, 50))
    with torch.inference_mode():
        here, there = (net(torch.from_numpy(np.roll(image, shift, (2, 3))))[0] for shift in ((0, 0), (32, 64)))
    np.testing.assert_allclose(there[:, 56:76, 60:80], here[:, 52:72, 52:72], atol=1e-4)


def test_the_exported_net_gives_the_same_with_both_libraries(tmp_path: Path) -> None:
    net, file = small(), tmp_path / "faces.onnx"
    to_onnx(net, file)
    run, network = detector_net(str(file), "model"), cv2.dnn.readNetFromONNX(str(file))
    for size in ((64, 128), (224, 96), (64, 128)):
        image = np.random.default_rng(0).integers(0, 256, (1, 1, *size), dtype=np.uint8)
        with torch.inference_mode():
            expected = net(torch.from_numpy(image)).numpy()
        np.testing.assert_allclose(run(image), expected, atol=1e-4)
        network.setInput(image.astype(np.float32))
        np.testing.assert_allclose(network.forward(), expected, atol=1e-4)


def test_no_path_of_this_machine_is_in_the_file(tmp_path: Path) -> None:
    to_onnx(small(), tmp_path / "faces.onnx")
    content = (tmp_path / "faces.onnx").read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content
