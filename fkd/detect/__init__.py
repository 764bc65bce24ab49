"""Detectors: from an image to the boxes of its faces, corrected to the squares around the points."""

from fkd.detect.base import Candidates, Detections, Detector, iou
from fkd.detect.boxfile import BoxFile
from fkd.detect.build import build, check, without_files
from fkd.detect.centerface import CenterFace
from fkd.detect.centernet import CenterNet
from fkd.detect.haar import Haar
from fkd.detect.whole import WholeImage
from fkd.detect.yunet import YuNet

__all__ = [
    "BoxFile",
    "Candidates",
    "CenterFace",
    "CenterNet",
    "Detections",
    "Detector",
    "Haar",
    "WholeImage",
    "YuNet",
    "build",
    "check",
    "iou",
    "without_files",
]
