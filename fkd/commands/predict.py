"""Finds keypoints on photos, a folder of them, a video or a camera: predictions.json and images in the output folder.

fkd predict photo.jpg
fkd predict photos/*.jpg output=found
fkd predict ckpt=outputs/.../checkpoints/best.ckpt input=photos output=found
"""

from contextlib import ExitStack

from omegaconf import DictConfig

from fkd.cli.command import command
from fkd.cli.media import Job
from fkd.config import checks
from fkd.errors import UserError
from fkd.io.folders import unless_wrong
from fkd.io.media import Place
from fkd.io.predictions import Entry, writing
from fkd.types import Face, Image
from fkd.visualization import draw


@command("predict", positional="input")
def main(cfg: DictConfig) -> None:
    csv, pts, images, rings = (checks.flag(cfg, key) for key in ("csv", "pts", "images", "expected_error"))
    job = Job(cfg)
    if rings and not job.predictor.has_errors:
        raise UserError(
            "expected_error=true: expected a net with the expected errors of its points, found an older one without; "
            "export its checkpoint again with the data that it was trained on, or leave expected_error out"
        )
    known = {"has_errors": job.predictor.has_errors, "has_visibility": job.predictor.has_visibility}
    known["has_ids"] = job.is_tracked
    with unless_wrong(job.output), ExitStack() as files:
        writer = files.enter_context(writing(job.output, job.predictor.schema, csv=csv, pts=pts, **known))
        canvas = files.enter_context(job.canvas()) if images else None

        def write(place: Place, image: Image, faces: list[Face]) -> None:
            if canvas is not None:
                canvas(place, draw.faces(image, faces, expected_error=rings))
            height, width = image.shape[:2]
            writer.add(Entry(place.image, place.frame, width, height, faces))

        job.run(write)
    job.finish()


if __name__ == "__main__":
    main()
