import torch

from mylab.losses import Huber
from mylab.tiny import Tiny


def test_tiny_gives_two_numbers_for_each_keypoint() -> None:
    assert Tiny(channels=1, size=96, keypoints=68, width=8)(torch.rand(2, 1, 96, 96)).shape == (2, 136)


def test_huber_counts_labelled_points_only() -> None:
    raw, target = torch.zeros(1, 2, 2), torch.tensor([[[0.01, 0.0], [float("nan"), 9.0]]])
    loss = Huber(delta=0.05)(raw, target, torch.tensor([[True, False]]))
    torch.testing.assert_close(loss, torch.tensor(0.01**2 / 2 / 2))
