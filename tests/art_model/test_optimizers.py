"""Optimisers by name, the rate at each step, and that their state survives a checkpoint bit for bit."""

import builtins
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from art_model.optimizers import build_optimizer, rate_at, set_rate
from art_model.train_config import OptimizerConfig, ScheduleConfig
from art_model.training_state import load_optimizer, save_optimizer
from layered.errors import UserError


def test_rates_rise_and_fall_as_configured() -> None:
    constant = ScheduleConfig(kind="constant", warmup=4)
    assert [rate_at(step, 10, 2.0, constant) for step in (0, 1, 3, 9)] == [0.5, 1.0, 2.0, 2.0]
    linear = ScheduleConfig(kind="linear", decay=0.5)
    assert [rate_at(step, 10, 1.0, linear) for step in (0, 5, 8, 9)] == pytest.approx([1, 1, 0.4, 0.2])
    cosine = ScheduleConfig(kind="cosine")
    assert [rate_at(step, 10, 1.0, cosine) for step in (0, 5)] == pytest.approx([1, 0.5])
    assert 0 < rate_at(9, 10, 1.0, cosine) < 0.05


def model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


def steps(linear: nn.Linear, optimizer: torch.optim.Optimizer, count: int) -> None:
    data = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))
    for _ in range(count):
        torch.autograd.backward((linear(data) - 1).square().mean())
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize(("kind", "rate"), [("adamw", 0.01), ("prodigy", 1.0)])
def test_a_stored_optimiser_goes_on_bit_for_bit(kind: str, rate: float, tmp_path: Path) -> None:
    config = OptimizerConfig.model_validate({"kind": kind, "rate": rate})
    undisturbed, stopped = model(), model()
    whole = build_optimizer(list(undisturbed.parameters()), config)
    steps(undisturbed, whole, 6)

    first = build_optimizer(list(stopped.parameters()), config)
    steps(stopped, first, 3)
    numbers = save_optimizer(tmp_path, first, ["weight", "bias"])
    second = build_optimizer(list(stopped.parameters()), config)
    load_optimizer(tmp_path, second, ["weight", "bias"], numbers)
    steps(stopped, second, 3)
    assert torch.equal(stopped.weight, undisturbed.weight)
    assert torch.equal(stopped.bias, undisturbed.bias)
    assert not torch.equal(stopped.weight, model().weight)


def test_8_bit_state_survives_a_checkpoint(tmp_path: Path) -> None:
    subclass = pytest.importorskip("torchao.optim.subclass_8bit")
    parameter = nn.Parameter(torch.randn(64, 64))
    config = OptimizerConfig(kind="adamw8bit", rate=1e-3)
    first, second = (build_optimizer([parameter], config) for _ in range(2))
    average = subclass.OptimState8bit.zeros((64, 64), True, 256)
    average.copy_(torch.randn(64, 64))
    first.state[parameter] = {"step": torch.tensor(3.0), "exp_avg": average}
    set_rate(first, 5e-4)
    load_optimizer(tmp_path, second, ["weight"], save_optimizer(tmp_path, first, ["weight"]))
    found: dict[str, Tensor] = second.state[parameter]
    assert type(found["exp_avg"]) is type(average)
    assert torch.equal(found["exp_avg"].dequantize(), average.dequantize())
    assert found["step"] == 3
    assert isinstance(second.param_groups[0]["lr"], Tensor)
    assert float(second.param_groups[0]["lr"]) == pytest.approx(5e-4)


@pytest.mark.parametrize(("kind", "library"), [("adamw8bit", "torchao"), ("prodigy", "prodigyopt")])
def test_a_missing_library_is_named(kind: str, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith(library):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=f"{kind} needs {library}: pip install"):
        build_optimizer([nn.Parameter(torch.ones(2))], OptimizerConfig.model_validate({"kind": kind}))
