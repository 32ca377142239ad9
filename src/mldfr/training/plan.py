"""What a training run would do and need, before it is begun."""

import time
from dataclasses import dataclass

import torch

from mldfr.predict import choose_device
from mldfr.training.fit import Classifier, loss_of, make_order, with_parts
from mldfr.training.memory import needed
from mldfr.training.prepare import Material, create_network
from mldfr.training.recipe import Recipe

MEASURED = 8
MEASURED_STEPS = 2
"""How many pictures in how many steps are timed."""


@dataclass(frozen=True)
class Plan:
    """A training run, counted and timed.

    Attributes:
        recipe, material: What was planned for.
        parameters: Of the network.
        memory: Bytes for parameters, gradients, momentum and the activations of one part of a batch, in 32 bits and
            without those of PyTorch itself.
        images_per_second: Measured on this device, in a few steps on random pictures.
    """

    recipe: Recipe
    material: Material
    parameters: int
    memory: int
    images_per_second: float

    @property
    def seconds(self) -> float:
        """How long the whole training takes at that speed."""
        order = make_order(self.recipe.training, len(self.material.train))
        return order.epochs * order.steps * order.batch_size / self.images_per_second

    def to_text(self) -> str:
        """The plan, to be read."""
        material, training = self.material, self.recipe.training
        order = make_order(training, len(material.train))
        counts = material.per_class()
        listed = "\n".join(f"  {name}: {count}" for name, count in zip(material.classes, counts, strict=True))
        left_out = f", {material.unlabelled} left out without a label" if material.unlabelled else ""
        cut = f"each batch in {order.parts} parts, as memory allows\n" if order.parts > 1 else ""
        splits = ", ".join(f"{name} {count}" for name, count in material.splits.items())
        hours, minutes = divmod(round(self.seconds / 60), 60)
        length = f"{hours} h {minutes} min" if hours else f"{self.seconds / 60:.1f} min"
        return (
            f"splits: {splits}\n"
            f"{len(material.train)} pictures to train on, {len(material.held_out)} held out{left_out}\n"
            f"{len(material.classes)} classes, {'several' if material.multi_label else 'one'} per picture:\n{listed}\n"
            f"network: {self.recipe.model.backbone}, {self.parameters:,} parameters\n"
            f"training: {order.epochs} epochs of {order.steps} steps with {order.batch_size} pictures, "
            f"loss {'MultiLabelSoftMargin' if material.multi_label else 'cross-entropy'}\n"
            f"{cut}memory: about {self.memory / 2**30:.1f} GiB for weights and activations\n"
            f"time: about {length} at {self.images_per_second:.1f} pictures/s, measured now without reading them"
        )


def make_plan(recipe: Recipe, material: Material, *, device: str = "auto") -> Plan:
    """Build the network, count it, and time a few steps.

    Raises:
        ValueError: A recipe, weights or a device that cannot be used.
    """
    where = choose_device(device)
    network = create_network(recipe, material)
    recipe = with_parts(recipe, network, len(material.train), where, world=1)
    order = make_order(recipe.training, len(material.train))
    size = network.card.preprocessing.input_size
    memory = needed(network, order.share, size)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    model = Classifier(network.to(where).to(memory_format=torch.channels_last).train())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    count = min(MEASURED, order.share)
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8, device=where)
    shape = (count, len(material.classes)) if material.multi_label else (count,)
    targets = torch.zeros(shape, dtype=torch.long, device=where)
    for step in range(1 + MEASURED_STEPS):
        if step == 1:  # the first is the warm-up
            started = time.perf_counter()
        torch.autograd.backward(loss_of(model(images), targets))
        optimizer.step()
        optimizer.zero_grad()
    if where.type == "cuda":
        torch.cuda.synchronize()
    speed = MEASURED_STEPS * count / (time.perf_counter() - started)
    return Plan(recipe, material, parameters, memory, speed)
