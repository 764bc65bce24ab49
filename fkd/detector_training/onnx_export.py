"""Writes a trained net for `detector=fkd`."""

import copy
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from fkd.detect.centernet import MULTIPLE, STRIDE
from fkd.detect.detector_net import CHANNELS, OUTPUT
from fkd.errors import UserError
from fkd.inference.export import onnx_model, quiet
from fkd.io.atomic import whole_file
from fkd.io.onnx_file import KEY

_MOST = 1024  # multiples of 32 pixels in the width and height of an image


def to_onnx(net: nn.Module, path: Path) -> None:
    """Write a net that takes images of any width and height that are multiples of 32.

    Args:
        net: (1, 1, H, W) uint8 -> (1, 6, H/8, W/8), on the CPU.
        path: of the new file.

    Raises:
        UserError: ONNX does not have one of its operations.
    """
    model = onnx_model(program_of(net), [OUTPUT], type(net).__name__)
    model.metadata_props.add(key=KEY)
    with whole_file(path) as file:
        file.write(model.SerializeToString())


def program_of(net: nn.Module) -> ExportedProgram:
    """The program of a net, which stays as it is.

    Raises:
        UserError: it cannot be traced, or gives something else than maps.
    """
    net = copy.deepcopy(net).eval()
    example = torch.zeros(1, 1, 3 * MULTIPLE, 4 * MULTIPLE, dtype=torch.uint8)
    shapes = ({2: MULTIPLE * Dim("height", min=1, max=_MOST), 3: MULTIPLE * Dim("width", min=1, max=_MOST)},)
    expected = (1, CHANNELS, 3 * MULTIPLE // STRIDE, 4 * MULTIPLE // STRIDE)
    with quiet(), torch.inference_mode(False), torch.no_grad():
        try:
            found = net(example).shape
        except Exception as error:  # the net may be the user's own and raise anything
            raise UserError(
                f"model.net: expected maps for {tuple(example.shape)} uint8 pixels, found {error}"
            ) from error
        if found != expected:
            raise UserError(
                f"model.net: expected maps {expected} for {tuple(example.shape)} pixels, found {tuple(found)}"
            )
        try:
            return torch.export.export(net, (example,), dynamic_shapes=shapes)
        except Exception as error:
            raise UserError(f"model.net: torch.export cannot trace it ({str(error).splitlines()[0][:200]})") from error
