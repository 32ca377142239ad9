"""What a training run would do and need, before it is begun."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mldfr.core.parallel import at_once, spread
from mldfr.core.text import one_line
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.network import LocalizationNetwork
from mldfr.networks.weights import downloaded
from mldfr.training import memory
from mldfr.training.fit import make_order, warnings_of, with_parts
from mldfr.training.linear_head import IN_MEMORY
from mldfr.training.objective import Learner, Objective, Place
from mldfr.training.prepare import Material, create_network
from mldfr.training.prepared_features import View, bytes_on_disk, mean_features, views_of
from mldfr.training.processes import make_fabric
from mldfr.training.recipe import Recipe
from mldfr.training.run_steps import warnings_of_classes

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
            without those of PyTorch itself; where only a head is fitted, for parameters and features.
        images_per_second: Measured on this device, in a few steps on random pictures.
        warnings: What a user should know before hours pass.
        download: Name and address of the weights that training fetches, if it fetches any; planning does not.
        on_disk: Bytes of the prepared features, where a linear head is fitted on them.
    """

    recipe: Recipe
    material: Material
    parameters: int
    memory: int
    images_per_second: float
    warnings: tuple[str, ...]
    download: tuple[str, str] | None = None
    on_disk: int = 0

    @property
    def seconds(self) -> float:
        """How long the whole training takes at that speed."""
        if self.recipe.probe.when == "only":
            return len(self.material.train) / self.images_per_second
        order = make_order(self.recipe.training, len(self.material.train), together=self.recipe.made_method.together)
        return order.epochs * order.steps * order.batch_size / self.images_per_second

    def to_text(self) -> str:
        """The plan, to be read."""
        material = self.material
        counts = material.per_class()
        held_out = Counter(label for sample in material.held_out for label in sample.labels)
        listed = "\n".join(
            f"  {one_line(name)}: {count} to train on, {held_out[label]} held out, of "
            + ", ".join(f"{split} {members[label]}" for split, members in material.splits.items())
            for label, (name, count) in enumerate(zip(material.classes, counts, strict=True))
        )
        left_out = f", {material.unlabelled} left out without a label" if material.unlabelled else ""
        warned = "".join(f"\nwarning: {warning}" for warning in self.warnings)
        hours, minutes = divmod(round(self.seconds / 60), 60)
        chosen = ", ".join(f"{key} {value}" for key, value in self.recipe.method_options.items())
        options = f" ({chosen})" if chosen else ""
        length = f"{hours} h {minutes} min" if hours else f"{self.seconds / 60:.1f} min"
        return (
            f"{len(material.train)} pictures to train on, {len(material.held_out)} held out{left_out}\n"
            f"{len(material.classes)} classes, {'several' if material.multi_label else 'one'} per picture:\n{listed}\n"
            f"network: {self.recipe.model.backbone}, {self.parameters:,} parameters\n"
            f"weights: {self._weights()}\n"
            f"method: {self.recipe.method}{options}\n"
            f"training: {self._course()}\n"
            f"memory: about {self.memory / 2**30:.1f} GiB for weights and activations\n"
            f"time: about {length} at {self.images_per_second:.1f} pictures/s, measured now without reading them"
            f"{warned}"
        )

    def _course(self) -> str:
        """What is done, to be read."""
        training, pictures = self.recipe.training, len(self.material.train)
        views = len(views_of(self.recipe.probe.scales, flip=self.recipe.probe.flip))
        room = f"{self.on_disk / 2**20:.1f} MiB on disk"
        head = f"a linear head on features of {pictures:,} pictures, {views} views each, {room}"
        if self.recipe.probe.when == "only":
            return head
        order = make_order(training, pictures, together=self.recipe.made_method.together)
        course = (
            f"{order.epochs} epochs of {order.steps} steps with {order.batch_size} pictures, "
            f"loss {'MultiLabelSoftMargin' if self.material.multi_label else 'cross-entropy'}"
        )
        return f"{head}; from there {course}" if self.on_disk else course

    def _weights(self) -> str:
        """Where the network starts from, to be read."""
        if self.download is None:
            return str(self.recipe.model.weights or "none; all layers start at random")
        name, address = self.download
        there = Path(torch.hub.get_dir(), "checkpoints", address.rpartition("/")[2]).is_file()
        return f"{name}, {'downloaded' if there else 'to be downloaded'} from {address}"


def make_plan(recipe: Recipe, material: Material, *, device: str = "auto") -> Plan:
    """Build the network, count it, and time a few steps. Nothing is downloaded: the network stands in at random.

    Raises:
        ValueError: A recipe, weights or a device that cannot be used.
    """
    fabric = make_fabric(recipe.training, device)
    model = recipe.model
    download = model.weights and downloaded(model.weights, default=BACKBONES[model.backbone].pretrained)
    network = create_network(recipe, material, pretrained=not download)
    on_disk = 0
    if recipe.probe.when != "never":
        views = views_of(recipe.probe.scales, flip=recipe.probe.flip)
        on_disk = bytes_on_disk(len(material.train), len(views), network.backbone.channels[-1])
    if recipe.probe.when == "only":
        speed = _speed_of_pass(network.to(fabric.device), views)
        parameters = sum(value.numel() for value in network.parameters())
        needed = 4 * parameters + min(on_disk, IN_MEMORY)
        warnings = tuple(warnings_of_classes(material))
        return Plan(recipe, material, parameters, needed, speed, warnings, download or None, on_disk)
    recipe = with_parts(recipe, network, len(material.train), fabric)
    together, world = recipe.made_method.together, fabric.world_size
    order = make_order(recipe.training, len(material.train), world=world, together=together)
    size = network.card.preprocessing.input_size
    parameters, needed = sum(value.numel() for value in network.parameters()), memory.needed(network, order.share, size)
    network.to(memory_format=torch.channels_last).train()
    learner, optimizer = fabric.setup(Learner(network), torch.optim.SGD(network.parameters(), lr=0.0))
    objective = Objective(network, fabric.device)
    count = order.share if fabric.device.type == "cuda" else min(MEASURED, order.share)
    images = torch.randint(256, (count, 3, size, size), dtype=torch.uint8, device=fabric.device)
    shape = (count, len(material.classes)) if material.multi_label else (count,)
    targets = torch.zeros(shape, dtype=torch.long, device=fabric.device)
    for step in range(1 + MEASURED_STEPS):
        if step == 1:  # the first is the warm-up
            started = _now(fabric.device)
        loss, _ = objective(learner, images, targets, Place(0, step).generator(recipe.training.seed))
        fabric.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
    speed = MEASURED_STEPS * count * fabric.world_size / (_now(fabric.device) - started)
    warnings = tuple(warnings_of(recipe.training, material, network, order))
    return Plan(recipe, material, parameters, needed, speed, warnings, download or None, on_disk)


def _speed_of_pass(network: LocalizationNetwork, views: Sequence[View]) -> float:
    """Pictures per second, 4 wide and 3 high, whose features are prepared."""
    fast, size = network.fused(), network.card.preprocessing.input_size
    image = torch.randint(256, (3, size, size * 4 // 3), dtype=torch.uint8)
    count = MEASURED_STEPS * at_once()
    spread_over = spread if network.device.type == "cpu" else map
    mean_features(fast, image, views)  # the warm-up
    started = _now(network.device)
    for _ in spread_over(lambda _: mean_features(fast, image, views), range(count)):
        pass
    return count / (_now(network.device) - started)


def _now(device: torch.device) -> float:
    """The time when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
