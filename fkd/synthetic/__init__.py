"""Generated images of people, with exactly known keypoints."""

from fkd.synthetic.render import face

__all__ = ["face"]
