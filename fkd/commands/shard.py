"""Writes a data set as shards, tar files with an index, for training on sets larger than memory.

fkd shard data=udacity data.root=DIR output=DIR
fkd shard data=udacity data.root=DIR output=DIR channels=3 encoding=jpeg
"""

from omegaconf import DictConfig

from fkd.cli.command import command
from fkd.config import checks
from fkd.config.faces import build_faces
from fkd.data.shards.writer import Storage, write
from fkd.io.folders import unless_wrong
from fkd.terminal import labelled_lines, show


@command("shard")
def main(cfg: DictConfig) -> None:
    output = checks.path(cfg, "output")
    storage = Storage(
        encoding=cfg.encoding,
        quality=checks.whole(cfg, "quality", least=1),
        size=checks.whole(cfg, "size", least=1),
        seed=checks.whole(cfg, "seed", least=0),
    )
    with unless_wrong(output):
        faces = build_faces(cfg)
        show(*faces.remarks)
        index = write(faces, cfg.channels, output, storage)
    size = sum(shard.bytes for shard in index.shards)
    colour = " channels=3" if index.channels == 3 else ""
    points = "" if faces.table.schema.name == "ibug68" else f" schema={faces.table.schema.name}"
    lines = {
        "written": f"{len(index.table):,} faces on {len(index.places):,} images",
        "shards": f"{len(index.shards):,} of together {size / 1e9:,.2f} GB in {output}",
        "train on it": f"fkd train data=shards data.root={output}{points}{colour}",
    }
    show(labelled_lines(lines))


if __name__ == "__main__":
    main()
