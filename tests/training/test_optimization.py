"""Rates of layers and over time: against PyTorch's own, and against what is to come out."""

import pytest
import torch
from torch.optim.lr_scheduler import StepLR

from mldfr.training.optimization import Training
from mldfr.training.schedule import Schedule


def toy(*rates, **options):
    """An optimizer of one parameter for each rate."""
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], **options)


def rates_of(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def test_step_is_pytorchs_by_epochs_and_goes_on_from_anywhere():
    told = Training(schedule="step", step_epochs=3, factor=0.5)
    ours, theirs = toy(0.1, 1.0), toy(0.1, 1.0)
    schedule, oracle = Schedule(ours, told, steps=4 * 11), StepLR(theirs, step_size=3, gamma=0.5)
    for epoch in range(11):
        assert rates_of(ours) == rates_of(theirs) == pytest.approx([rate * 0.5 ** (epoch // 3) for rate in (0.1, 1.0)])
        for step in range(4):
            ours.step()
            schedule.after_step()
            if step == epoch % 4:  # cut, and taken up by new ones
                states = ours.state_dict(), schedule.state_dict()
                ours = toy(0.1, 1.0)
                schedule = Schedule(ours, told, steps=4 * 11)
                ours.load_state_dict(states[0])
                schedule.load_state_dict(states[1])
                ours.step()
        theirs.step()
        schedule.after_epoch(2.0)
        oracle.step()
