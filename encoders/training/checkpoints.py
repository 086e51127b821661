"""Checkpoints: how a training leaves them, and from which it goes on.

The Trainer writes one file after the other, its state last. So a checkpoint without a readable
state is one that a kill cut short, and is not there; one with a state whose other files cannot be
read was damaged later, which is for somebody to know.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_model
from torch import OutOfMemoryError, nn
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from lexidex.errors import CorruptFile

WEIGHTS = "model.safetensors"


def complete_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a folder that were written to their end, the newest last."""
    return sorted(filter(_is_complete, _checkpoints(folder)), key=_step)


def remove_incomplete(folder: Path) -> None:
    """Delete what a kill left of a checkpoint that was being written, or deleted."""
    for checkpoint in _checkpoints(folder):
        if not _is_complete(checkpoint):
            shutil.rmtree(checkpoint)


def _checkpoints(folder: Path) -> list[Path]:
    found = folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*")
    return [each for each in found if each.is_dir() and each.name.partition("-")[2].isdecimal()]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # another error may pass, and must not cost anything
        return False
    return True


class CheckpointedTrainer(Trainer):
    """A Trainer whose checkpoints hold tied weights once, and that says which one is damaged."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the weights of a checkpoint; unlike the Trainer's own, tied ones once."""
        folder = Path(output_dir or self.args.output_dir or "")
        folder.mkdir(parents=True, exist_ok=True)
        save_model(self._whole, str(folder / WEIGHTS))

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Tied weights are in a checkpoint once, and so seem to be missing."""

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        with _telling(resume_from_checkpoint):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _telling(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _telling(checkpoint):
            super()._load_rng_state(checkpoint)

    @property
    def _whole(self) -> nn.Module:
        assert isinstance(self.model, nn.Module)
        return self.model


@contextmanager
def _telling(checkpoint: str | None) -> Iterator[None]:
    """Turn what safetensors, torch and pickle raise into one line about the checkpoint."""
    try:
        yield
    except (MemoryError, OutOfMemoryError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise CorruptFile(
            f"{checkpoint}: cannot be gone on from ({reason}); delete it, and the training goes on "
            "from the one before, or from its start"
        ) from error
