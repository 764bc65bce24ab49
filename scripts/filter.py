"""Draws filters on the faces of photos, a folder of them, a video or a camera.

python scripts/filter.py ckpt=outputs/.../checkpoints/best.ckpt input=photo.jpg output=worn filter=sunglasses
"""

from omegaconf import DictConfig

from fkd import options, targets
from fkd.cli import command
from fkd.filters import Filter
from fkd.job import Job


@command("filter")
def main(cfg: DictConfig) -> None:
    dress: Filter = targets.build(cfg.get("filter"), "filter")
    allow_unhidden = options.flag(cfg, "allow_unhidden")
    job = Job(cfg, hiding=dress.hides)
    dress.check(job.predictor.schema)
    with job.canvas() as canvas:
        for place, picture, faces in job.faces():
            canvas(place, dress(picture, faces))
    job.finish(allow_unhidden)


if __name__ == "__main__":
    main()
