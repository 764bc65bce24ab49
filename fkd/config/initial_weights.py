"""The weights that a new net starts with."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig
from torch import nn

from fkd import checkpoint, distributed
from fkd.config import checks
from fkd.errors import UserError, of_the_user
from fkd.inference.torch_net import TorchNet, load_net
from fkd.models.backbone import Backbone
from fkd.models.transfer import Axes, Points, keypoint_axes, same_points, transfer
from fkd.schema import KeypointSchema, mapped_points
from fkd.terminal import tell
from fkd.training.module import KeypointModule
from fkd.training.runs.compatibility import first_difference, plain

_SAME = ("schema", "channels", "model.name", "model.net", "model.codec")
"""What `weights_strict` wants to be equal."""


def initialise(module: KeypointModule, cfg: DictConfig) -> None:
    """Load the initial weights of a new module's net: the checkpoint `weights`, or those of `model.pretrained`.

    Of `weights` every tensor is taken that fits by name and shape; of a layer with entries for each keypoint, those of
    the keypoints that both nets have: points of the same name, or as `weights_mapping` says. The module also takes over
    the subjects and image hashes of that net's training.

    Raises:
        UserError: the file is no checkpoint of fkd, nothing of it fits, it is another net where `weights_strict` is
            set, or weights cannot be downloaded.
    """
    if cfg.weights is not None:
        if checks.flag(cfg, "weights_strict"):
            other = fitting_net(cfg, "weights", _SAME)
            module.model.net.load_state_dict(other.model.net.state_dict())
        else:
            other = _transferred(module, cfg)
        module.add_training(other.subjects, other.image_hashes)
    elif cfg.model.get("pretrained") is not None and checks.flag(cfg, "model.pretrained"):
        if not isinstance(module.model.net, Backbone):
            raise UserError(f"model.pretrained=true: expected false, since model={cfg.model.name} has no such weights")
        module.model.net.load_pretrained()


def starts_at_mean_shape(cfg: DictConfig) -> bool:
    """Whether a new net gives the mean shape of the training faces for every image until it is trained.

    Raises:
        UserError: `model.starts_at_mean_shape` is neither true nor false.
    """
    given = "starts_at_mean_shape" in cfg.model and checks.flag(cfg, "model.starts_at_mean_shape")
    return given and cfg.get("weights") is None


def fitting_net(cfg: DictConfig, key: str, parts: Sequence[str]) -> TorchNet:
    """The net of the checkpoint of a key; some parts of its config must be equal to the current config.

    Raises:
        UserError: the file is no checkpoint of fkd, or a part differs.
    """
    path = checks.net(cfg, key)
    net = load_net(path, key=key)
    if (difference := first_difference(net.config, cfg, parts, training=False)) is not None:
        part, then, now = difference
        raise UserError(f"{key}={path}: expected a net with {part}={now}, found {then}; give another file or {part}")
    _report(f"{key}: {path} ({_origin(net)})")
    return net


def _transferred(module: KeypointModule, cfg: DictConfig) -> TorchNet:
    path, model = checks.net(cfg, "weights"), module.model
    other = load_net(path, key="weights")
    if model.schema == other.model.schema and cfg.get("weights_mapping") is None:
        points: Points = range(len(model.schema))
        axes: Axes = {}  # whatever has the same shape is the same
    else:
        points, axes = _points(cfg, model.schema, other.model.schema), _axes(other)
    done = transfer(model.net, other.model.net.state_dict(), axes, points)
    if not done.taken:
        raise UserError(
            f"weights={path}: expected a net of which something fits model={cfg.model.name}, found "
            f"model={other.config['model']['name']}, of which nothing does; give another file"
        )
    _report(f"weights: {path} ({_origin(other)}): {done}")
    return other


def _axes(net: TorchNet) -> Axes:
    """Which axes of the net's tensors belong to its keypoints; none where its class does not say how many it has."""
    config: Mapping[str, Any] = net.config["model"]["net"]

    def build(keypoints: int) -> nn.Module:
        built: nn.Module = checkpoint.build({**config, "keypoints": keypoints})
        return built

    return keypoint_axes(build, len(net.model.schema)) if "keypoints" in config else {}


def _points(cfg: DictConfig, schema: KeypointSchema, other: KeypointSchema) -> Points:
    """For each point of the schema the number of the same one in the other; None: it has none."""
    if cfg.get("weights_mapping") is None:
        return same_points(schema, other)
    with of_the_user():
        mapping = plain(cfg)["weights_mapping"]
        return mapped_points(mapping, len(schema), len(other), other.name, "weights_mapping")


def _origin(net: TorchNet) -> str:
    epoch, nme = (net.scores.get(name) for name in ("epoch", "val/nme"))
    reached = "unknown val/nme" if nme is None else f"epoch {epoch}, val/nme {nme:.2f} %"
    return f"data={net.config['data']['name']}, {reached}"


def _report(line: str) -> None:
    if distributed.is_first():
        tell(line)
