"""The optimisation of a training run, as a recipe has it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from mldfr.networks.card import Strict


class Training(Strict):
    """The optimisation (paper, Section IV-B, Training): SGD with momentum on the loss of the image labels.

    Examples:
        >>> Training().lr, Training().epochs
        (0.03, 50)
    """

    epochs: int = Field(default=50, ge=1)
    batch_size: int = Field(default=256, ge=1)
    """Pictures in one step of the optimizer, over all processes and accumulated parts."""
    accumulate: int | None = Field(default=None, ge=1)
    """Into how many parts a batch is cut that does not fit into memory; BatchNorm sees one part at a time. null is as
    few as the machine allows, and the run's own recipe says how many that were."""
    lr: float = Field(default=0.03, gt=0, allow_inf_nan=False)
    new_layers: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """By what the rate is multiplied of layers that no pretrained weights are for: head, recalibration, a method's
    modules, and what the change of the last downsampling or of the normalisation has put into the trunk. With a saved
    model as weights: of what is not taken from it."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    """Whether the momentum is Nesterov's."""
    weight_decay: float = Field(default=1e-4, ge=0, allow_inf_nan=False)
    schedule: Literal["plateau", "step", "cosine", "constant"] = "plateau"
    """`plateau`: times `factor` when the training loss has not improved for `patience` epochs. `step`: times `factor`
    after every `step_epochs` epochs. `cosine`: from a warm-up over the first tenth of the steps down to zero."""
    patience: int = Field(default=3, ge=1)
    step_epochs: int = Field(default=15, ge=1)
    factor: float = Field(default=0.1, gt=0, lt=1)
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed"] = "auto"
    """`auto` is mixed precision where the device has it and 32 bits elsewhere."""
    sync_batch_norm: bool = True
    """Whether the statistics of BatchNorm are those of all processes together."""
    seed: int = Field(default=0, ge=0)
    checkpoint_minutes: float = Field(default=10.0, gt=0)
    """How often, besides the ends of epochs, the state is saved."""
    checkpoint_epochs: int = Field(default=1, ge=1)
    """After how many epochs the state is saved; in any case after the last. Epochs of a second want more than one."""

    @model_validator(mode="after")
    def _parts(self) -> Self:
        if self.accumulate and self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} cannot be cut into {self.accumulate} equal parts")
        return self

    @model_validator(mode="after")
    def _momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov wants a momentum over 0")
        return self
