"""Generated pictures of people, with exactly known keypoints."""

from fkd.data.synthesis.render import face

__all__ = ["face"]
