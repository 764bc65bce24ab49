"""fkd: config-driven experiments for facial keypoint detection in PyTorch."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fkd.api import compare, compose, evaluate, train
    from fkd.detect import Detector
    from fkd.inference.predictor import Net, Predictor

__version__ = "0.2.0"
__all__ = ["compare", "compose", "evaluate", "load", "train"]


def __getattr__(name: str) -> Any:
    """The functions of `fkd.api`, imported when they are first used: they need torch, Lightning and Hydra."""
    if name in ("compare", "compose", "evaluate", "train"):
        if find_spec("torch") is None:
            from fkd.errors import UserError

            raise UserError(f"fkd.{name}: needs torch, which is not installed; install fkd again without --no-deps")
        return getattr(import_module("fkd.api"), name)
    raise AttributeError(f"module 'fkd' has no attribute {name!r}")


def load(
    path: str | Path | None = None,
    *,
    detector: Detector | None = None,
    device: str = "auto",
    flip: bool = False,
    max_pixels: int | None = None,
    hiding: bool = False,
    trusted: Iterable[str] = (),
) -> Predictor:
    """A trained net, ready for any image: ``fkd.load()("photo.jpg")`` gives its faces.

    Args:
        path: a checkpoint of fkd (.ckpt, .safetensors), or a net exported by `fkd export` (.onnx), which needs
            no torch; or the name of a net that comes with fkd, see `fkd.weights`, which needs no torch unless
            `device` names a GPU; None: the first of these.
        detector: finds the faces; None takes the one that the net was trained for. `fkd.detect.build` makes one of the
            content of a file in conf/detector.
        device: "auto" (for a checkpoint a GPU if there is one), "cpu", "cuda", ...; exported nets run on the CPU.
        flip: average the answers on a crop and on its mirror image: slower, a little more accurate.
        max_pixels: larger image files are refused before memory is spent on them; None: `fkd.io.images.MAX_PIXELS`.
        trusted: names of your own packages whose nets, codecs, crops and detectors the file may name.
        hiding: give all boxes that may hold a face, too, without keypoints (NaN): for `fkd.filters.Blur`.

    Raises:
        fkd.errors.UserError: the file is missing, broken or of another kind, or there is no such device.
    """
    from fkd import detect, weights
    from fkd.errors import UserError, did_you_mean
    from fkd.inference import predictor  # here, so that `import fkd` costs nothing
    from fkd.io import images
    from fkd.io.trusted import trusting

    if detector is not None and not callable(detector):
        raise UserError(f"detector={detector!r}: expected a detector object, e.g. of fkd.detect.build")
    if packaged := weights.is_name(path):
        path = weights.exported(path) if device in ("auto", "cpu") else weights.checkpoint(path)
    assert path is not None
    if not Path(path).exists():  # before torch is loaded
        hint = did_you_mean(str(path), weights.NETS)
        raise UserError(
            f"ckpt={path}: expected a checkpoint (.ckpt, .safetensors) or an exported net (.onnx), found no such file; "
            f"{hint and f'{hint} '}the nets that come with fkd are {', '.join(weights.NETS)}"
        )
    with trusting(trusted):
        is_exported = Path(path).suffix.lower() == ".onnx"
        net = _onnx(path, device, packaged) if is_exported else _checkpoint(path, device)
        detector = detector or detect.build(detect.without_files(net.metadata.detector))
    return predictor.Predictor(net, detector, flip, max_pixels or images.MAX_PIXELS, hiding)


def _checkpoint(path: str | Path, device: str) -> Net:
    if find_spec("torch") is None:
        from fkd.errors import UserError

        raise UserError(f"ckpt={path}: a checkpoint needs torch, which is not installed; give a net exported as .onnx")
    from fkd.inference.torch_net import load_net  # imports torch

    return load_net(path, device)


def _onnx(path: str | Path, device: str, packaged: bool) -> Net:
    from fkd.errors import UserError
    from fkd.inference.onnx_net import OnnxNet

    if device not in ("auto", "cpu"):
        raise UserError(f"device={device}: exported nets run on the processor; expected auto or cpu")
    if packaged and find_spec("onnxruntime") is None:
        from fkd.inference.opencv_net import OpenCVNet

        return OpenCVNet(Path(path))
    return OnnxNet(path)
