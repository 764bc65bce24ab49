"""The nets that come with fkd, by name. README.md has the model card of each."""

from pathlib import Path

NETS = ("wild", "udacity", "synthetic")
"""The first is taken where no other is named."""


def is_name(net: str | Path | None) -> bool:
    """Whether it is the name of a net that comes with fkd; None is that of the first."""
    return net is None or str(net) in NETS


def checkpoint(name: str | Path | None) -> Path:
    """The checkpoint of a net that comes with fkd."""
    return Path(__file__).with_name(f"{name or NETS[0]}.safetensors")


def exported(name: str | Path | None) -> Path:
    """The same net for use without torch."""
    return checkpoint(name).with_suffix(".onnx")


FACE_DETECTOR = Path(__file__).with_name("faces.onnx")
"""The network of `detector=fkd`."""
