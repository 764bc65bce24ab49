"""A detector in a process of its own, which answers on standard output what comes on standard input.

    python worker.py CORE fkd '{"_target_": ...}'
    python worker.py CORE keypoints '{"_target_": ...}'
    python worker.py CORE mediapipe short

A request is a line of JSON, `{"shape": [H, W, 3], "calls": N}`, and the pixels of an RGB image. The answer is a line
with the boxes (N, 4) in pixels of the image, the first pixel's centre at 0, their scores, and the milliseconds of each
call: processor time of all threads on one core, so that other work on the machine hardly counts.

This file runs where MediaPipe is installed and fkd is not: it imports both only where they are needed.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

MARK = "@ "
"""Start of the lines of an answer; libraries may print others."""

Find = Callable[[Any], tuple[Any, Any]]
"""An image (H, W, 3) -> boxes (N, 4), scores (N,)."""


def fkd_detector(config: str) -> Find:
    """One of fkd, from the content of a file in conf/detector; its boxes are squares around the points."""
    build = importlib.import_module("fkd.detect").build
    detector = build(json.loads(config))
    return lambda image: detector(image)[:2]


def fkd_keypoints(config: str) -> Find:
    """The net that comes with fkd, after one of its detectors."""
    build = importlib.import_module("fkd.detect").build
    predictor = importlib.import_module("fkd").load(detector=build(json.loads(config)))

    def find(image: Any) -> tuple[Any, Any]:
        faces = predictor(image)
        return [face.box for face in faces], [face.score for face in faces]

    return find


def mediapipe(kind: str) -> Find:
    """MediaPipe's Face Detection, `short` or `full` range, or its Face Mesh, `mesh`; each image anew."""
    solutions = importlib.import_module("mediapipe").solutions
    if kind == "mesh":
        mesh = solutions.face_mesh.FaceMesh(static_image_mode=True)

        def find_points(image: Any) -> tuple[Any, Any]:
            faces = mesh.process(image).multi_face_landmarks or []
            points = [np.array([[p.x, p.y] for p in face.landmark]) * image.shape[1::-1] - 0.5 for face in faces]
            return [[*each.min(axis=0), *each.max(axis=0)] for each in points], [np.nan] * len(points)

        return find_points
    detector = solutions.face_detection.FaceDetection(model_selection={"short": 0, "full": 1}[kind])

    def find(image: Any) -> tuple[Any, Any]:
        height, width = image.shape[:2]
        found = detector.process(image).detections or []
        places = [each.location_data.relative_bounding_box for each in found]
        corners = [[p.xmin, p.ymin, p.xmin + p.width, p.ymin + p.height] for p in places]
        boxes = np.array(corners).reshape(-1, 4) * [width, height, width, height] - 0.5
        return boxes, [each.score[0] for each in found]

    return find


KINDS = {"fkd": fkd_detector, "keypoints": fkd_keypoints, "mediapipe": mediapipe}


def main(core: str, kind: str, argument: str) -> None:
    """Answer requests until there are no more."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    cv2.setNumThreads(1)
    find, requests = KINDS[kind](argument), sys.stdin.buffer
    print(f"{MARK}{{}}", flush=True)  # ready
    for line in requests:
        request = json.loads(line)
        height, width, channels = request["shape"]
        pixels = requests.read(height * width * channels)
        image, times = np.frombuffer(pixels, np.uint8).reshape(height, width, channels), []
        for _ in range(request["calls"]):
            start = time.process_time()
            boxes, scores = find(image)
            times.append(1000 * (time.process_time() - start))
        answer = {
            "boxes": np.asarray(boxes, float).reshape(-1, 4).tolist(),
            "scores": np.asarray(scores, float).ravel().tolist(),
            "ms": times,
        }
        print(f"{MARK}{json.dumps(answer)}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
