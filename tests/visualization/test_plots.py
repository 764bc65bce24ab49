import cv2
import numpy as np
import pytest

from fkd.visualization import plots


def test_error_curve_is_a_whole_png(tmp_path):
    path = tmp_path / "curve.png"
    path.write_bytes(b"an older one")
    plots.error_curve({"a": np.array([2.0, 4.0, 6.0, np.inf]), "b": np.array([9.0])}, path)
    image = cv2.imread(str(path))
    assert image is not None
    assert image.shape[1] >= 1000
    assert [p.name for p in tmp_path.iterdir()] == ["curve.png"]


def test_error_curve_states_area_and_failures(tmp_path, monkeypatch):
    texts, curves = [], []

    def keep(figure, *args, **kwargs):
        (axes,) = figure.axes
        texts.extend(text.get_text() for text in figure.legends[0].get_texts())
        curves.extend(line.get_xydata() for line in axes.get_lines())
        assert {line.get_drawstyle() for line in axes.get_lines()} == {"steps-post"}
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("NME (inter-ocular, %)", "faces (%)")
        (tmp_path / ".curve.png.tmp").touch()

    monkeypatch.setattr("fkd.visualization.plots.Figure.savefig", keep)
    errors = {"worse": np.array([2.0, 4.0, 6.0, np.inf]), "better": np.array([1.0])}
    plots.error_curve(errors, tmp_path / "curve.png")
    # Steps of a quarter at 2, 4 and 6: (0.25 * 2 + 0.5 * 2 + 0.75 * 4) / 10 = 0.45.
    assert texts == ["better: AUC 0.900, failures 0.0 %", "worse: AUC 0.450, failures 25.0 %"]
    np.testing.assert_allclose(curves[1], [[0, 0], [2, 25], [4, 50], [6, 75], [10, 75]])


def test_error_curve_refuses_errors_that_are_not_numbers(tmp_path):
    with pytest.raises(ValueError, match="mine"):
        plots.error_curve({"mine": np.array([1.0, np.nan])}, tmp_path / "curve.png")
    with pytest.raises(ValueError, match="found 0"):
        plots.error_curve({"mine": np.array([])}, tmp_path / "curve.png")


def test_reliability_draws_each_curve_over_the_diagonal(tmp_path, monkeypatch):
    curves = {}

    def keep(figure, *args, **kwargs):
        (axes,) = figure.axes
        curves.update({line.get_label(): line.get_xydata() for line in axes.get_lines()})
        (tmp_path / ".r.png.tmp").touch()

    tenths = [[number, 1.1 * number] for number in range(1, 11)]
    plots.reliability({"mine": tenths}, tmp_path / "whole.png")
    assert cv2.imread(str(tmp_path / "whole.png")) is not None
    monkeypatch.setattr("fkd.visualization.plots.Figure.savefig", keep)
    plots.reliability({"mine": tenths}, tmp_path / "r.png")
    np.testing.assert_allclose(curves["mine"], tenths)
    plots.reliability({"none": [[0.0, 0.0]] * 10}, tmp_path / "r.png")  # logarithms of nothing
