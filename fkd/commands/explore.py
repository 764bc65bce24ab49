"""Looks at a data set before training: report.html (open it in a browser), contact sheets, and faces to leave out.

fkd explore data=udacity data.root=DIR output=DIR
fkd explore data=udacity data.root=DIR output=DIR ckpt=outputs/.../checkpoints/best.ckpt
"""

from pathlib import Path

from omegaconf import DictConfig

from fkd import dataset_report
from fkd.cli.command import command
from fkd.config import checks
from fkd.config.faces import build_faces
from fkd.data.face_data import Faces
from fkd.dataset_report.checks import examine
from fkd.errors import UserError
from fkd.evaluation.evaluate import Candidate
from fkd.inference.torch_net import TorchNet, load_net
from fkd.io.folders import unless_wrong
from fkd.terminal import labelled_lines, show


@command("explore")
def main(cfg: DictConfig) -> None:
    output = checks.path(cfg, "output")
    size, count, seed = (checks.whole(cfg, key, least) for key, least in (("sample", 2), ("faces", 1), ("seed", 0)))
    with unless_wrong(output):
        net = None if cfg.ckpt is None else load_net(checks.net(cfg, "ckpt"), "auto")
        faces = build_faces(cfg)
        if len(faces.table) == 0:
            raise UserError(f"data={faces.name}: expected a face or more, found none; look at data.root and its files")
    show(*faces.remarks)

    is_whole = cfg.data.get("exclude") is None
    has_folder = is_whole and cfg.data.get("root")  # images of excluded faces would seem to have no label
    root = Path(cfg.data.root) if has_folder else None
    findings = examine(faces, net, root, () if net is None else learned_from(net, faces))
    found = dataset_report.survey(faces, findings, is_whole, "exclude" in cfg.data, size, seed)
    dataset_report.write(output, found, count, seed)

    show(
        dataset_report.findings_table(found) if findings else "no problems were found",
        labelled_lines(
            {
                "page": f"{output}/report.html (opens in any browser; it shows people's faces)",
                "numbers": f"{output}/report.json",
                "leave out": found.exclusion_line(f"{output}/exclude.txt"),
            }
        ),
    )


def learned_from(net: TorchNet, faces: Faces) -> set[str]:
    """Subjects that a net was trained on, known by name or by the hashes of these faces' images."""
    return {*net.subjects, *(Candidate.of(net).trained_on(faces.table) or ())}


if __name__ == "__main__":
    main()
