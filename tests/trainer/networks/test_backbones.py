from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tracker.errors import ConfigError
from trainer.networks.backbones import BACKBONES, Backbone, make_backbone

timm = pytest.importorskip("timm", reason="backbones come from timm (the train extra)")


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_l", "mobilenetv4_s"])
def test_features_have_the_stated_width(name: str) -> None:
    body = Backbone(name, 64).eval()
    with torch.no_grad():
        assert body(torch.rand(2, 3, 64, 64)).shape == (2, body.channels)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_every_backbone_runs_at_a_small_size(name: str) -> None:
    body = Backbone(name, 96).eval()
    with torch.no_grad():
        assert body(torch.rand(1, 3, 96, 96)).shape == (1, body.channels)


def test_weights_come_from_the_users_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = timm.create_model("mobilenetv4_conv_small", pretrained=False, num_classes=1000)
    path = tmp_path / "weights.pth"
    torch.save(published.state_dict(), path)
    body = Backbone("mobilenetv4_s", 64, path)
    key = "conv_stem.weight"
    torch.testing.assert_close(body.body.state_dict()[key], published.state_dict()[key])


def test_wrong_requests_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a backbone out of resnet18"):
        Backbone("vgg", 64)
    with pytest.raises(ConfigError, match="multiple of 32"):
        Backbone("resnet18", 100)
    with pytest.raises(ConfigError, match="found none at"):
        Backbone("resnet18", 64, tmp_path / "missing.pth")
    foreign = tmp_path / "foreign.pth"
    torch.save({"a": torch.zeros(1)}, foreign)
    with pytest.raises(ConfigError, match="does not hold timm's weights") as error:
        Backbone("resnet18", 64, foreign)
    assert "\n" not in str(error.value)


def test_the_trackers_own_trunk_takes_crops_of_any_size(networks: Path) -> None:
    trunk = make_backbone("facemesh", 64).eval()
    with torch.no_grad():
        assert trunk(torch.rand(2, 3, 64, 64)).shape == (2, trunk.channels)
    with pytest.raises(ConfigError, match="brings its own weights"):
        make_backbone("facemesh", 64, Path("weights.pth"))
