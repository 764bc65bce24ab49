"""The faces of a config, and their data loaders."""

from omegaconf import DictConfig

from fkd import distributed
from fkd.config import checks
from fkd.config.build_parts import build_crop, build_schema
from fkd.config.instantiate import check_call, instantiate
from fkd.data.combine import beside
from fkd.data.datamodule import KeypointDataModule, OverfitDataModule
from fkd.data.face_data import Faces
from fkd.errors import UserError
from fkd.training.precision import gpus


def build_faces(cfg: DictConfig) -> Faces:
    """The faces of `data`, split and decoded, and those that `extra_train` adds to the training split."""
    faces = _source(cfg.data.source, "data.source")
    if cfg.get("extra_train") is not None:
        faces = beside(faces, _source(cfg.extra_train.source, "extra_train.source"))
    if faces.table.schema != (schema := build_schema(cfg)):
        raise UserError(
            f"data={faces.name}: expected faces with the points of schema={schema.name}, found those of "
            f"{faces.table.schema.name}; choose other data, or train with schema={faces.table.schema.name}"
        )
    if cfg.get("overfit") is None:
        return faces
    return faces.first(checks.whole(cfg, "overfit.faces", least=2))


def _source(config: DictConfig, key: str) -> Faces:
    source = instantiate(config, key, _partial_=True)  # errors inside of it are not the config's
    check_call(source, config, key)
    faces: Faces = source()
    return faces


def build_data(cfg: DictConfig, faces: Faces) -> KeypointDataModule:
    """Data loaders of the faces."""
    found, asked = gpus(cfg.trainer.accelerator), cfg.trainer.devices
    training_gpus = min(found, asked) if isinstance(asked, int) and asked > 0 else found
    settings = {
        "faces": faces,
        "crop": build_crop(cfg.crop),
        "augmentation": instantiate(cfg.augmentation, "augmentation"),
        "batch_size": checks.whole(cfg, "data.batch_size", least=1),
        "num_workers": distributed.loader_workers(cfg.data.num_workers, training_gpus),
        "seed": cfg.seed,
    }
    if cfg.overfit is None:
        return KeypointDataModule(**settings)
    return OverfitDataModule(checks.whole(cfg, "overfit.passes", least=1), **settings)
