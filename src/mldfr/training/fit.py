"""A training run: what it needs, and the loop."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric
from lightning_fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import nn

from mldfr.artifacts import RUN
from mldfr.core.files import remove_leftovers
from mldfr.core.text import one_line
from mldfr.networks.model_file import MODEL_FILE
from mldfr.networks.network import LocalizationNetwork
from mldfr.training import checkpoint, memory, run_folder
from mldfr.training.examples import Batch, Order, Pictures, load_batches
from mldfr.training.frozen import FrozenRun, begin_frozen
from mldfr.training.held_out import held_out_accuracy
from mldfr.training.log import Log, say_line
from mldfr.training.objective import Learner, Objective, Place, right_ones
from mldfr.training.optimization import Training
from mldfr.training.parameter_groups import make_optimizer
from mldfr.training.prepare import Material, create_network
from mldfr.training.prepared_features import Follow, unwatched
from mldfr.training.probe import probe
from mldfr.training.processes import make_fabric
from mldfr.training.recipe import Recipe, RecipeError
from mldfr.training.run_folder import Epoch
from mldfr.training.run_steps import enter, finish, warnings_of_classes
from mldfr.training.schedule import Schedule
from mldfr.training.synchronized import synchronize_batch_norms
from mldfr.training.training_state import Course, Outcome

SMALL_BATCH = 32
"""Under so many pictures for each statistic of BatchNorm, Table XII has nothing good to say."""
EACH_EPOCH = 200
"""So many held-out pictures are looked at after an epoch, at most: their share of right ones is known to 7 points."""
ASK_EVERY = 20
"""Steps after which several processes agree whether to save."""


@dataclass(frozen=True, eq=False)
class Run:
    """A run that is ready to begin or to go on; what is wrong with recipe, weights or folder has been said.

    Attributes:
        folder: The run folder.
        recipe, material: What is done, and what is learned from.
        source: Where the material comes from, to be written down.
        fabric: Device, precision and processes.
        network: What is trained.
        model, optimizer: The same, as `fabric` wraps it.
        objective: From a batch to its loss, as the method has it.
        course: Where the run stands.
        order: In which order the pictures come from there on.
        warnings: What a user should know before hours pass, said by the first process.
    """

    folder: Path
    recipe: Recipe
    material: Material
    source: str
    fabric: Fabric
    network: LocalizationNetwork
    model: _FabricModule
    optimizer: _FabricOptimizer
    objective: Objective
    course: Course
    order: Order
    warnings: tuple[str, ...]

    def train(self) -> LocalizationNetwork:
        """Train to the end, and write the model.

        Returns:
            The trained network, in eval mode.

        Raises:
            TrainingError: The loss or a weight is not finite any more.
        """
        fabric, course, order = self.fabric, self.course, self.order
        if course.epoch == order.epochs and (self.folder / MODEL_FILE).exists():
            return LocalizationNetwork.load(self.folder, device=fabric.device)  # `select` may have changed its card
        batches, targets = self._batches(), fabric.to_device(self.material.targets())
        with Log(self.folder, self.recipe, order, course.history, show=fabric.is_global_zero) as log:
            for warning in self.warnings:
                log.say(f"warning: {warning}")
            saved = time.monotonic()
            while course.epoch < order.epochs:
                outcome = Outcome()
                for part in range(order.parts):
                    batch = course.wait_for(batches)
                    wanted = targets[batch.indices.to(fabric.device, non_blocking=True)]
                    place = Place(course.epoch, course.step, part, order.rank).generator(order.seed)
                    with fabric.no_backward_sync(self.model, enabled=part < order.parts - 1):
                        images = batch.images.to(fabric.device, non_blocking=True)
                        loss, logits = self.objective(self.model, images, wanted, place)
                        fabric.backward(loss / order.parts)
                    outcome.add(loss.detach(), right_ones(logits.detach(), wanted), batch.indices)
                    self._report(batch, log)
                self.optimizer.step()
                self.optimizer.zero_grad()
                course.after_step(outcome, self.material.train)
                log.after_step(course)
                if course.step == order.steps:
                    course.end_epoch()
                    log.after_epoch(course.add_held_out(self._held_out()))
                if not self._due() and not self._overdue(saved):
                    continue
                state = course.state()
                if fabric.is_global_zero:
                    checkpoint.save(self.folder, state, step=course.epoch * order.steps + course.step)
                saved = time.monotonic()
        return self._finish()

    def _batches(self) -> Iterator[Batch]:
        size, seed = self.network.card.preprocessing.input_size, self.recipe.training.seed
        cache = self.recipe.data.cache
        pictures = Pictures(self.material.train, self.recipe.augmentation, size=size, seed=seed, cache=cache)
        pin = self.fabric.device.type == "cuda"
        return load_batches(pictures, self.order, workers=self.recipe.data.workers, pin=pin)

    def _report(self, batch: Batch, log: Log) -> None:
        for path, reason in batch.unreadable:
            if run_folder.note_unreadable(self.folder, path, reason):
                log.say(f"skipped {one_line(path)}: {reason}")

    def _held_out(self) -> float | None:
        """Share of some held-out pictures whose most probable class is right by now."""
        if not self.fabric.is_global_zero:
            return None
        found = held_out_accuracy(self.network, self.material.held_out, most=EACH_EPOCH)
        return None if found is None else found.accuracy

    def _due(self) -> bool:
        """Whether an epoch has ended after which the state is saved."""
        course = self.course
        if course.step:
            return False
        return course.epoch % self.recipe.training.checkpoint_epochs == 0 or course.epoch == self.order.epochs

    def _overdue(self, saved: float) -> bool:
        """Whether it is time to save in between; all processes get the same answer."""
        alone = self.fabric.world_size == 1
        if not alone and self.course.step % ASK_EVERY:
            return False
        overdue = time.monotonic() - saved > 60 * self.recipe.training.checkpoint_minutes
        return overdue if alone else bool(self.fabric.broadcast(overdue))

    @property
    def history(self) -> Sequence[Epoch]:
        """How each epoch went."""
        return self.course.history

    def how_far(self) -> str:
        """Where the run stands."""
        return f"in epoch {self.course.epoch + 1}"

    def _finish(self) -> LocalizationNetwork:
        self.network.eval()
        if self.fabric.is_global_zero:
            finish(
                self.network,
                self.folder,
                self.recipe,
                self.material,
                source=self.source,
                history=self.history,
            )
        self.fabric.barrier()
        return self.network


def begin(
    recipe: Recipe,
    material: Material,
    folder: Path,
    *,
    source: str = "",
    device: str = "auto",
    resume: bool = False,
    follow: Follow = unwatched,
) -> Run | FrozenRun:
    """Make a run ready, or take up the one that is in the folder.

    Under `torchrun` each process trains on its share of every batch. On a CPU the same recipe, seed, number of threads
    and versions give the same weights to the bit, also when the run was killed and resumed.

    Args:
        recipe: What to do.
        material: What to learn from.
        folder: The run folder.
        source: Where the material comes from, to be written down.
        device: `auto`, `cpu`, `cuda`, ...
        resume: Go on with the run that is in the folder.
        follow: Handed the features of pictures as they come, where the recipe wants a linear head fitted on them.

    Raises:
        ValueError: A recipe, weights, a device or a folder that cannot be used.
    """
    run_folder.check_place(folder)
    if recipe.probe.when == "only":
        return begin_frozen(recipe, material, folder, source=source, device=device, resume=resume, follow=follow)
    fabric = make_fabric(recipe.training, device)
    going_on = resume and (folder / RUN).exists()
    if going_on and fabric.is_global_zero:
        remove_leftovers(folder)
    state = checkpoint.load(folder) if going_on else None
    torch.manual_seed(recipe.training.seed)
    network = create_network(recipe, material, pretrained=state is None)
    known = run_folder.read_run(folder)[0].training.accumulate if going_on else None
    recipe = with_parts(recipe, network, len(material.train), fabric, known=known)
    training = recipe.training
    order = _order_for(training, material, fabric, together=network.method.together)
    if fabric.is_global_zero:
        enter(
            folder,
            recipe,
            material,
            source=source,
            device=fabric.device,
            processes=fabric.world_size,
            resume=resume,
        )
        if recipe.probe.when == "first" and state is None:  # other processes are handed the weights by `fabric.setup`
            network.to(fabric.device)
            probe(network, material, folder, choice=recipe.probe, seed=training.seed, say=say_line, follow=follow)
    fabric.barrier()
    warnings = tuple(warnings_of(training, material, network, order)) if fabric.is_global_zero else ()
    if training.sync_batch_norm and fabric.world_size > 1:
        synchronize_batch_norms(network, fabric.device)
    network.to(memory_format=torch.channels_last).train()
    sgd = make_optimizer(network, training, state)
    model, optimizer = fabric.setup(Learner(network), sgd)
    objective = Objective(network, fabric.device)
    course = Course(fabric, network, sgd, Schedule(sgd, training, steps=order.epochs * order.steps))
    if state:
        course.load(state)
    order = replace(order, first_epoch=course.epoch, first_step=course.step)
    return Run(folder, recipe, material, source, fabric, network, model, optimizer, objective, course, order, warnings)


def fit(
    recipe: Recipe, material: Material, folder: Path, *, source: str = "", device: str = "auto", resume: bool = False
) -> LocalizationNetwork:
    """`begin` and `Run.train` in one: takes, returns and raises what they do.

    Examples:
        >>> from mldfr.data import open_data
        >>> from mldfr.training.prepare import prepare
        >>> from mldfr.training.recipe import load_recipe
        >>> small = ["model.backbone=mobilenet_v2", "model.weights=null", "augmentation.input_size=64"]
        >>> short = ["training.epochs=1", "training.accumulate=1", "data.held_out=0", "data.workers=0"]
        >>> recipe = load_recipe("finetune", [*small, *short])
        >>> network = fit(recipe, prepare(open_data("folder:sorted"), recipe), Path("runs/small"), device="cpu")
        >>> network.card.class_names, Path("runs/small/model.safetensors").exists()
        (('cat', 'cup'), True)
    """
    return begin(recipe, material, folder, source=source, device=device, resume=resume).train()


def _order_for(training: Training, material: Material, fabric: Fabric, *, together: int) -> Order:
    """The order of the material for this process, told the labels where these count."""
    count, rank, world = len(material.train), fabric.global_rank, fabric.world_size
    order = make_order(training, count, rank=rank, world=world, together=together)
    labels = tuple(example.labels for example in material.train) if together > 1 else ()
    return replace(order, labels=labels)


def make_order(training: Training, count: int, *, rank: int = 0, world: int = 1, together: int = 1) -> Order:
    """The order of `count` examples; where they do not fill one batch, the batch is as large as they allow.

    Args:
        training: Batch size, parts, epochs and seed.
        count: How many examples there are.
        rank, world: Which process of how many.
        together: How many of a class stand beside each other (see `Order`).

    Raises:
        RecipeError: A batch that cannot be shared equally, or too few examples for that.
    """
    parts = training.accumulate or 1
    shares = parts * world * together
    groups = f" with {together} pictures of a class side by side" if together > 1 else ""
    if training.batch_size % shares:
        raise RecipeError(
            f"training.batch_size {training.batch_size} cannot be cut into {parts} parts for {world} "
            f"processes{groups}; take a multiple of {shares}"
        )
    if count < shares:
        raise RecipeError(f"{count} pictures cannot be cut into {parts} parts for {world} processes{groups}")
    size = min(training.batch_size, count // shares * shares)
    return Order(count, size, parts, training.epochs, training.seed, rank=rank, world=world, together=together)


def with_parts(
    recipe: Recipe, network: LocalizationNetwork, count: int, fabric: Fabric, *, known: int | None = None
) -> Recipe:
    """The recipe with `training.accumulate` decided, if it was left to the machine.

    Args:
        recipe, network: What is trained.
        count: Pictures to train on.
        fabric: The process that needs most parts decides for all.
        known: What a run that goes on has decided for.
    """
    if recipe.training.accumulate is not None:
        return recipe
    size, together, world = network.card.preprocessing.input_size, network.method.together, fabric.world_size
    whole = make_order(recipe.training, count, world=world, together=together).batch_size
    parts = known
    if parts is None:
        own = memory.parts(network, whole // world // together, size, fabric.device, together=together)
        parts = int(torch.as_tensor(fabric.all_reduce(torch.tensor(own), reduce_op="max")))
    shares = parts * world * together
    batch_size = recipe.training.batch_size if parts == 1 else whole // shares * shares
    update = {"batch_size": batch_size, "accumulate": parts}
    return recipe.model_copy(update={"training": recipe.training.model_copy(update=update)})


def warnings_of(training: Training, material: Material, network: nn.Module, order: Order) -> Iterator[str]:
    """What a user should know before hours pass."""
    yield from warnings_of_classes(material)
    if order.parts > 1:
        yield f"each batch of {order.batch_size} is cut into {order.parts} parts, because memory does not hold more"
    together = order.share * (order.world if training.sync_batch_norm else 1)
    if together < SMALL_BATCH and any(isinstance(part, nn.BatchNorm2d) for part in network.modules()):
        yield (
            f"BatchNorm takes its statistics from {together} pictures at a time. In the paper's Table XII VGG16's "
            "CorLoc on CUB is 75.04 % with batches of 256, 73.99 % with 64, 62.98 % with 32, and with 16 it does not "
            "learn"
        )
