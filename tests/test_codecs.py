import pytest
import torch

from fkd.codecs import Coordinates


def test_the_notebooks_target_is_k_minus_100_over_50() -> None:
    codec = Coordinates(center=100, unit=50)
    keypoints = torch.tensor([[[100.0, 50.0], [0.0, 224.0]]])
    assert torch.allclose(codec.encode(keypoints), torch.tensor([[[0.0, -1.0], [-2.0, 2.48]]]))


@pytest.mark.parametrize("shape", [(4, 136), (4, 68, 2)])
def test_decode_undoes_encode_whatever_the_nets_shape(shape: tuple[int, ...]) -> None:
    codec, keypoints = Coordinates(center=47.5, unit=48), torch.rand(4, 68, 2) * 96
    assert torch.allclose(codec.decode(codec.encode(keypoints).reshape(shape)), keypoints, atol=1e-4)


def test_bfloat16_output_is_decoded_in_float32() -> None:
    assert Coordinates(100, 50).decode(torch.zeros(1, 136, dtype=torch.bfloat16)).dtype == torch.float32


def test_a_unit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="unit above 0"):
        Coordinates(center=0, unit=0)
