"""States of a run on disk: whole under their name or not there, the last two kept."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mldfr.core.files import replacing

FOLDER = "checkpoints"
KEPT = 2

State = dict[str, Any]
"""Tensors, numbers, texts, lists and dicts, so that a file can be read without running what is in it."""


def save(run: Path, state: State, *, step: int) -> None:
    """Write the state after a step of the run, then drop all but the last two."""
    with replacing(run / FOLDER / f"step_{step:08d}.pt") as temporary:
        torch.save(state, temporary)
    for old in _newest_first(run)[KEPT:]:
        old.unlink(missing_ok=True)


def load(run: Path) -> State | None:
    """The last state that can be read; None if there is none. What a killed process left half-written is deleted."""
    for leftover in (run / FOLDER).glob(".step_*"):
        leftover.unlink(missing_ok=True)
    for path in _newest_first(run):
        try:
            state: State = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
            continue  # a disk that lost data; the one before it leads to the same end
        return state
    return None


def _newest_first(run: Path) -> list[Path]:
    return sorted((run / FOLDER).glob("step_*.pt"), reverse=True)


def random_state() -> State:
    """Where PyTorch's generators stand."""
    return {"cpu": torch.get_rng_state(), "cuda": list(_cuda_states())}


def set_random_state(state: State) -> None:
    """Put PyTorch's generators where they stood."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and state["cuda"]:
        torch.cuda.set_rng_state(state["cuda"][0])


def _cuda_states() -> Iterator[torch.Tensor]:
    if torch.cuda.is_available():
        yield torch.cuda.get_rng_state()
