"""Looks at a data set before training: report.html (open it in a browser), contact sheets, and faces to leave out.

python scripts/explore.py data=udacity data.root=DIR output=DIR
python scripts/explore.py data=udacity data.root=DIR output=DIR ckpt=outputs/.../checkpoints/best.ckpt
"""

from pathlib import Path

from omegaconf import DictConfig

from fkd import doctor, experiment, exploring, options
from fkd.cli import command
from fkd.console import facts, show
from fkd.data.faces import Faces
from fkd.errors import UserError
from fkd.inputs import unless_wrong
from fkd.module import KeypointModule


@command("explore")
def main(cfg: DictConfig) -> None:
    output = options.path(cfg, "output")
    size, count, seed = (options.whole(cfg, key, least) for key, least in (("sample", 2), ("faces", 1), ("seed", 0)))
    with unless_wrong(output):
        net = None if cfg.ckpt is None else experiment.load_net(options.path(cfg, "ckpt"), "auto")
        faces = experiment.build_faces(cfg)
    if len(faces.table) == 0:
        raise UserError(f"data={faces.name}: expected at least one face, found none; look at data.root and its files")
    show(*faces.remarks)

    is_whole = cfg.data.get("exclude") is None
    has_folder = is_whole and cfg.data.get("root")  # pictures of those left out would seem to have no label
    root = Path(cfg.data.root) if has_folder else None
    findings = doctor.examine(faces, net, root, () if net is None else learned_from(net.module, faces))
    found = exploring.survey(faces, findings, is_whole, "exclude" in cfg.data, size, seed)
    exploring.write(output, found, count, seed)

    show(
        exploring.findings_table(found) if findings else "nothing was found to be wrong",
        facts(
            {
                "page": f"{output}/report.html (opens in any browser; it shows people's faces)",
                "numbers": f"{output}/report.json",
                "leave out": exploring.exclusion_line(found, output),
            }
        ),
    )


def learned_from(module: KeypointModule, faces: Faces) -> set[str]:
    """People that a net was trained on; those of these faces also where only their images are known."""
    return {*module.subjects, *(experiment.candidate(module).trained_on(faces.table) or ())}


if __name__ == "__main__":
    main()
