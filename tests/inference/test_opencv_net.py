"""The net that comes with fkd, in its three forms: torch, ONNX Runtime, OpenCV."""

import subprocess
import sys

import numpy as np
import pytest

from fkd import weights
from fkd.inference.onnx_net import OnnxNet
from fkd.inference.opencv_net import OpenCVNet
from fkd.inference.torch_net import load_net
from fkd.io.onnx_file import KEY, metadata_of

CROPS = np.random.default_rng(0).integers(0, 256, (3, 1, 96, 96)).astype(np.uint8)


@pytest.fixture
def opencv_net() -> OpenCVNet:
    return OpenCVNet(weights.exported(None))


def test_all_forms_give_the_same_keypoints(opencv_net: OpenCVNet) -> None:
    pytest.importorskip("onnxruntime")
    expected = OnnxNet(weights.exported(None))(CROPS)
    np.testing.assert_allclose(opencv_net(CROPS), expected, atol=1e-3)
    # each file has its own weights in 16 bits: in ONNX those of joined layers
    np.testing.assert_allclose(load_net(weights.checkpoint(None), "cpu")(CROPS), expected, atol=0.2)
    assert opencv_net(CROPS[:0]).shape == (0, 68, 2)


def test_the_metadata_is_that_of_the_checkpoint(opencv_net: OpenCVNet) -> None:
    assert opencv_net.metadata.to_json() == load_net(weights.checkpoint(None), "cpu").metadata.to_json()


def test_metadata_is_what_onnx_reads() -> None:
    onnx = pytest.importorskip("onnx")
    entries = {entry.key: entry.value for entry in onnx.load(weights.exported(None)).metadata_props}
    assert metadata_of(weights.exported(None).read_bytes()) == entries[KEY]


@pytest.mark.parametrize("content", [b"", b"\x72\x02\x0a\x00", b"no message"])
def test_a_file_without_metadata_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        metadata_of(content)


@pytest.mark.parametrize("missing", [("torch",), ("torch", "onnxruntime")])
def test_photos_need_neither_torch_nor_onnx_runtime(missing: tuple[str, ...]) -> None:
    """In a process where these packages cannot be imported."""
    code = f"""
import importlib.util, sys
import numpy as np
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {missing!r} else find(name, *rest)
sys.modules |= dict.fromkeys({missing!r})
import fkd
predictor = fkd.load()
print(type(predictor.net).__name__, predictor.net(np.zeros((2, 1, 96, 96), np.uint8)).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    expected = "OpenCVNet" if "onnxruntime" in missing else "OnnxNet"
    assert (done.stdout, done.stderr) == (f"{expected} (2, 68, 2)\n", "")
