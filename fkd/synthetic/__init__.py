"""Synthetic images of faces with exact keypoints."""

from fkd.synthetic.render import face

__all__ = ["face"]
