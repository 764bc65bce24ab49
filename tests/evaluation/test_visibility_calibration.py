from dataclasses import replace

import pytest

from fkd import weights
from fkd.errors import UserError
from fkd.evaluation.visibility_calibration import calibrate
from fkd.inference.torch_net import load_net
from fkd.schema import KeypointSchema


def test_the_packaged_net_tells_hidden_points_from_visible_ones() -> None:
    assert calibrate(load_net(weights.checkpoint(None)), faces=200, tested=60).area > 0.8


def test_a_net_of_other_points_is_refused() -> None:
    net = load_net(weights.checkpoint(None))
    other = KeypointSchema.from_dict({**net.metadata.schema.to_dict(), "name": "mine"})
    net.metadata = replace(net.metadata, schema=other)
    with pytest.raises(UserError, match="visibility=true: expected a net of ibug68's points with heatmaps"):
        calibrate(net)
