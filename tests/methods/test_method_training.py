"""Methods in training: at no strength plain CAM, in recipe, card and model file."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

import mldfr
from mldfr.data import open_data
from mldfr.methods.cutmix import CutMix
from mldfr.networks.card import Card
from mldfr.networks.network import LocalizationNetwork
from mldfr.training.fit import fit
from mldfr.training.objective import Learner, Objective, Place
from mldfr.training.prepare import prepare
from mldfr.training.recipe import RecipeError, differences, load_recipe

SETTINGS = [
    "model.backbone=mobilenet_v2",
    "model.weights=null",
    "model.recalibration=none",
    "augmentation.input_size=64",
    "training.epochs=2",
    "training.batch_size=6",
    "training.lr=0.01",
    "training.accumulate=1",
    "data.workers=0",
    "data.held_out=0",
]


def recipe_of(*settings):
    return load_recipe("finetune", [*SETTINGS, *settings])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Twelve pictures of noise in two classes."""
    root, values = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for label, name in enumerate(("blue", "green")):
        (root / name).mkdir()
        for number in range(6):
            pixels = values.integers(0, 128, (80, 96, 3), dtype=np.uint8)
            pixels[..., 2 - label] += 100
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return f"folder:{root}"


def trained(source, run, *settings):
    recipe = recipe_of(*settings)
    fit(recipe, prepare(open_data(source), recipe), run, source=source, device="cpu")
    return load_file(run / "model.safetensors")


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


@pytest.fixture(scope="module")
def plain(source, tmp_path_factory):
    run = tmp_path_factory.mktemp("plain") / "run"
    return run, trained(source, run)


def test_hiding_nothing_is_plain_cam(source, plain, tmp_path):
    assert_same(trained(source, tmp_path / "run", "method=has", "method_options.rate=0"), plain[1])


def test_what_is_drawn_depends_on_the_place_alone():
    places = [
        Place(epoch, step, part, rank) for epoch in (0, 1) for step in (0, 1) for part in (0, 1) for rank in (0, 1)
    ]
    drawn = [[torch.rand((), generator=place.generator(seed)).item() for seed in (0, 1)] for place in places]
    assert len({value for values in drawn for value in values}) == 2 * len(places)
    assert drawn == [[torch.rand((), generator=place.generator(seed)).item() for seed in (0, 1)] for place in places]


def test_the_objective_is_the_loss_of_what_the_method_made():
    torch.manual_seed(0)
    network = LocalizationNetwork.create("mobilenet_v2", num_classes=3, recalibration="none", method="cutmix").eval()
    images, targets = torch.randint(256, (4, 3, 64, 64), dtype=torch.uint8), torch.tensor([0, 2, 1, 0])
    place = Place(1, 2)
    objective = Objective(network, torch.device("cpu"))
    loss, logits = objective(Learner(network), images, targets, place.generator(7))
    mean, std = (
        torch.tensor(v)[:, None, None] for v in (network.card.preprocessing.mean, network.card.preprocessing.std)
    )
    mixed, wanted = CutMix().augment((images / 255 - mean) / std, targets, place.generator(7), num_classes=3)
    expected, _ = network(mixed)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    by_hand = -(wanted * F.log_softmax(expected, dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(loss, by_hand, rtol=1e-3, atol=1e-4)


def test_several_labels_are_learned_from_mixed_vectors():
    network = LocalizationNetwork.create(
        "mobilenet_v2", num_classes=3, recalibration="none", method="cutmix", multi_label=True
    ).eval()
    images, targets = torch.randint(256, (4, 3, 64, 64), dtype=torch.uint8), torch.ones(4, 3, dtype=torch.uint8)
    loss, logits = Objective(network, torch.device("cpu"))(Learner(network), images, targets, Place(0, 0).generator(0))
    torch.testing.assert_close(loss, F.multilabel_soft_margin_loss(logits, targets.float()))


def test_the_card_says_the_method_unless_it_is_plain_cam(source, plain, tmp_path):
    trained(source, tmp_path / "run", "method=cutmix", "method_options.beta=0.5", "training.epochs=1")
    with safe_open(tmp_path / "run" / "model.safetensors", framework="pt") as file:
        written = json.loads(file.metadata()["mldfr_card"])
    assert (written["method"], written["method_options"]) == ("cutmix", {"beta": 0.5})
    again = mldfr.load(tmp_path / "run", device="cpu")
    assert again.network.method == CutMix(beta=0.5)
    with safe_open(plain[0] / "model.safetensors", framework="pt") as file:
        written = json.loads(file.metadata()["mldfr_card"])
    assert not {"method", "method_options"} & written.keys()  # as it was before there were methods
    card = Card.model_validate(written)
    assert (card.method, card.method_options) == ("cam", {})


def test_another_method_has_its_own_options():
    recipe = recipe_of("method=has", "method_options={cell: 16}", "method=cutmix")
    assert (recipe.method, recipe.method_options) == ("cutmix", {})
    assert differences(recipe_of(), recipe) == ["method (cam, cutmix)"]
    changed = recipe_of("method=cutmix", "method_options.beta=2")
    assert differences(recipe, changed) == ["method_options ({}, {'beta': 2})"]


def test_methods_and_options_that_do_not_exist_are_refused_before_training():
    with pytest.raises(RecipeError, match=r"method: unknown method 'cut-mix' \(did you mean 'cutmix'\?\)"):
        recipe_of("method=cut-mix")
    with pytest.raises(RecipeError, match="method_options of cutmix: unknown alpha; it has beta, probability"):
        recipe_of("method=cutmix", "method_options.alpha=2")
