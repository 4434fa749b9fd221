from __future__ import annotations

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="the trainer needs torch: pip install 'facestream-tracker[train]'")

from torch import nn  # noqa: E402

from trainer.batch_statistics import normalised, settle  # noqa: E402
from trainer.data.batch import Batch, unknown  # noqa: E402


def _batches() -> list[Batch]:
    torch.manual_seed(0)
    return [replace(unknown(8, 1, 1, 4), image=torch.rand(8, 3, 4, 4) * scale) for scale in (1.0, 2.0, 4.0)]


def _step(module: nn.Module, batch: Batch) -> torch.Tensor:
    out: torch.Tensor = module(batch.image)
    return out


def test_statistics_become_those_of_the_batches_and_nothing_else_changes() -> None:
    module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)).train()
    norm = module[1]
    norm.running_mean.fill_(100.0)
    weights = [p.clone() for p in module.parameters()]
    settle(module, _batches(), _step)
    with torch.no_grad():
        outputs = [module[0](batch.image) for batch in _batches()]
    expected = torch.stack([out.mean(dim=(0, 2, 3)) for out in outputs]).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, expected)
    assert norm.momentum == 0.1
    assert module.training
    assert all(torch.equal(a, b) for a, b in zip(weights, module.parameters(), strict=True))
    assert all(p.grad is None for p in module.parameters())


def test_layers_that_a_method_keeps_still_stay_as_they_are() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3)).train()
    module[0].eval()
    before = module[0].running_var.clone()
    assert normalised(module)
    settle(module, _batches(), _step)
    assert torch.equal(module[0].running_var, before)
    assert not torch.equal(module[1].running_var, before)
    assert not normalised(module.eval())
    assert not normalised(nn.Linear(2, 2))


def test_a_failing_step_leaves_the_momentum() -> None:
    module = nn.Sequential(nn.BatchNorm2d(3)).train()
    with pytest.raises(RuntimeError):
        settle(module, [unknown(2, 1, 1, 4)], lambda module, batch: module(batch.image[:, :1]))
    assert module[0].momentum == 0.1
