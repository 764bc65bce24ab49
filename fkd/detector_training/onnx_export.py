"""Writes a trained net for `detector=fkd`."""

from pathlib import Path

import torch
from torch import nn
from torch.export import Dim

from fkd.detect.centernet import MULTIPLE
from fkd.detect.image_net import OUTPUT
from fkd.inference.export import onnx_model, quiet
from fkd.io.atomic import whole_file

_MOST = 1024  # multiples of 32 pixels in the width and height of an image


def to_onnx(net: nn.Module, path: Path) -> None:
    """Write a net that takes images of any width and height that are multiples of 32.

    Args:
        net: (1, 1, H, W) uint8 -> (1, 6, H/8, W/8), on the CPU; afterwards in evaluation mode.
        path: of the new file.

    Raises:
        UserError: ONNX does not have one of its operations.
    """
    net.eval()
    example = torch.zeros(1, 1, 3 * MULTIPLE, 4 * MULTIPLE, dtype=torch.uint8)
    shapes = ({2: MULTIPLE * Dim("height", min=1, max=_MOST), 3: MULTIPLE * Dim("width", min=1, max=_MOST)},)
    with quiet(), torch.inference_mode(False), torch.no_grad():
        program = torch.export.export(net, (example,), dynamic_shapes=shapes)
    model = onnx_model(program, [OUTPUT], type(net).__name__)
    with whole_file(path) as file:
        file.write(model.SerializeToString())
