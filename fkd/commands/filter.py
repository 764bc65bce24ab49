"""Draws filters on the faces of photos, a folder of them, a video or a camera.

fkd filter photo.jpg filter=sunglasses
fkd filter ckpt=outputs/.../checkpoints/best.ckpt input=photo.jpg output=worn filter=sunglasses
"""

from omegaconf import DictConfig

from fkd.cli.command import command
from fkd.cli.media import Job
from fkd.config import checks
from fkd.config.instantiate import instantiate
from fkd.filters import Filter
from fkd.io.folders import unless_wrong


@command("filter", positional="input")
def main(cfg: DictConfig) -> None:
    dress: Filter = instantiate(cfg.get("filter"), "filter")
    allow_unhidden = checks.flag(cfg, "allow_unhidden")
    job = Job(cfg, hiding=dress.hides)
    with unless_wrong(job.output):
        dress.check(job.predictor.schema)
        with job.canvas() as canvas:
            job.run(lambda place, image, faces: canvas(place, dress(image, faces)))
        job.finish(allow_unhidden)


if __name__ == "__main__":
    main()
