"""A run that leaves the trunk as it is, and fits a linear head on prepared features."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mldfr.core.devices import choose_device
from mldfr.core.files import remove_leftovers
from mldfr.localizer.fitting import fit_map, suggested, wanted
from mldfr.localizer.sameness import map_for
from mldfr.maps.base import fitted_map
from mldfr.networks.model_file import MODEL_FILE
from mldfr.networks.network import LocalizationNetwork
from mldfr.training.log import open_loggers, say_line
from mldfr.training.prepare import Material, create_network
from mldfr.training.prepared_features import Follow, unwatched
from mldfr.training.probe import Probed, probe
from mldfr.training.recipe import Recipe, RecipeError
from mldfr.training.run_folder import Epoch, write_metrics
from mldfr.training.run_steps import enter, finish, warnings_of_classes
from mldfr.training.slurm import as_torchrun


@dataclass(frozen=True, eq=False)
class FrozenRun:
    """A run of a recipe with `probe.when: only` that is ready to begin or to go on.

    Attributes:
        folder: The run folder.
        recipe, material: What is done, and what is learned from.
        source: Where the material comes from, to be written down.
        network: Trunk and head.
        follow: Handed the features of the pictures as they come.
        warnings: What a user should know before.
        history: One epoch, when it is done.
    """

    folder: Path
    recipe: Recipe
    material: Material
    source: str
    network: LocalizationNetwork
    follow: Follow
    warnings: tuple[str, ...]
    history: list[Epoch] = field(default_factory=list)

    def how_far(self) -> str:
        """Where the run stands, beside what `follow` says."""
        return "while the head was fitted"

    def train(self) -> LocalizationNetwork:
        """Fit the head, and write the model.

        Returns:
            The network, in eval mode.

        Raises:
            TrainingError: Fewer than two pictures can be read.
        """
        if (self.folder / MODEL_FILE).exists():  # `select` may have changed its card
            network = LocalizationNetwork.load(self.folder, device=self.network.device)
            self.history[:] = [Epoch(**network.card.training["last_epoch"])]
            return network
        for warning in self.warnings:
            say_line(f"warning: {warning}")
        started = time.perf_counter()
        probed = probe(
            self.network,
            self.material,
            self.folder,
            choice=self.recipe.probe,
            seed=self.recipe.training.seed,
            say=say_line,
            follow=self.follow,
        )
        self._write(probed, time.perf_counter() - started)
        self.network.eval()
        if self.recipe.probe.foreground:
            self._fit_foreground()
        finish(
            self.network,
            self.folder,
            self.recipe,
            self.material,
            source=self.source,
            history=self.history,
            probed=probed.left_out._asdict(),
        )
        return self.network

    def _fit_foreground(self) -> None:
        """Give the network a map of foreground that suits the training pictures."""
        pictures = [(example.path, example.labels) for example in self.material.train]
        name = map_for(self.network, [path for path, _ in pictures])
        kind = fitted_map(name)
        # Things of several classes in one picture are told apart by what each class looks like.
        per_class = kind.by_class and any(len(labels) > 1 for _, labels in pictures)
        count = min(len(pictures), wanted(kind, per_class=per_class))
        say_line(f"fitting the map {name} on {count:,} pictures{', class by class' if per_class else ''}")
        fit_map(self.network, name, pictures, per_class=per_class)
        card = self.network.card
        # The map needs the passes anyway, and the head has learned from all of them.
        told = {"localization": suggested(card, name), "classified_at": "all_scales"}
        self.network.card = card.model_copy(update=told)

    def _write(self, probed: Probed, seconds: float) -> None:
        """Write how it went as other runs do: it was one epoch, in which the trunk learned nothing."""
        fit, speed = probed.on_train, len(self.material.train) / seconds
        self.history[:] = [
            Epoch(epoch=1, loss=fit.loss, top1=fit.top1, lr=0.0, images_per_second=speed, waiting=0.0, seconds=seconds)
        ]
        write_metrics(self.folder, self.history)
        left_out = {"cross_validation/loss": probed.left_out.loss, "cross_validation/top1": probed.left_out.top1}
        for logger in open_loggers(self.folder, self.recipe, first_step=0):
            logger.add({"epoch/loss": fit.loss, "epoch/top1": fit.top1, **left_out}, 1)
            logger.close()


def begin_frozen(
    recipe: Recipe,
    material: Material,
    folder: Path,
    *,
    source: str = "",
    device: str = "auto",
    resume: bool = False,
    follow: Follow = unwatched,
) -> FrozenRun:
    """Make a run ready, or take up the one that is in the folder; its arguments are those of `fit.begin`.

    Raises:
        ValueError: A recipe, weights, a device or a folder that cannot be used, or several processes.
    """
    told = {**os.environ, **as_torchrun(os.environ)}
    if (world := int(told.get("WORLD_SIZE", "1"))) > 1:
        raise RecipeError(f"probe.when only: one process looks at the pictures; {world} were started")
    chosen = choose_device(device)
    if resume:
        remove_leftovers(folder)
    torch.manual_seed(recipe.training.seed)
    done = resume and (folder / MODEL_FILE).exists()
    network = create_network(recipe, material, pretrained=not done)
    enter(folder, recipe, material, source=source, device=chosen, processes=1, resume=resume)
    return FrozenRun(folder, recipe, material, source, network.to(chosen), follow, tuple(warnings_of_classes(material)))
