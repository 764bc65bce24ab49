"""The model zoo: what recipes reach and what their nets cost, from the folders of their runs."""

from fkd.zoo.entries import Entry, Training, entries
from fkd.zoo.measuring import BOXES, Row, measure, multiply_adds
from fkd.zoo.table import Table, around_table

__all__ = ["BOXES", "Entry", "Row", "Table", "Training", "around_table", "entries", "measure", "multiply_adds"]
