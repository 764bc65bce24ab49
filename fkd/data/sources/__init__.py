"""Functions from the files of a data set to its faces, one for each format."""

from fkd.data.sources.coco import coco
from fkd.data.sources.csv_table import csv_table
from fkd.data.sources.fileset import FileSet
from fkd.data.sources.imglab import imglab
from fkd.data.sources.kaggle import kaggle
from fkd.data.sources.pts import pts
from fkd.data.sources.w300 import w300

__all__ = ["FileSet", "coco", "csv_table", "imglab", "kaggle", "pts", "w300"]
