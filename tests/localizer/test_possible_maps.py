"""Which maps a model can have, and how boxes are best drawn of each."""

import pytest

import mldfr
from helpers import save_small
from mldfr.localizer.fitting import fit_map
from mldfr.localizer.possible_maps import map_choices
from mldfr.maps.base import FittedMap


@pytest.fixture
def small_model(tmp_path, photos, monkeypatch):
    """A small network with a map of foreground, which it does not draw by."""
    monkeypatch.setattr(FittedMap, "sides", (96, 160))
    made = mldfr.load(save_small(tmp_path / "small.safetensors", num_classes=2), device="cpu")
    fit_map(made.network, "foreground", [(photos["chelsea.png"], ()), (photos["coffee.png"], ())])
    return made


def test_a_fitted_map_comes_with_the_rules_that_suit_it(small_model):
    choices = map_choices(small_model)
    assert [*choices] == ["cam", "nwc", "feature_norm", "foreground", "normalized_cut"]
    assert (choices["foreground"].normalizer, choices["foreground"].threshold) == ("max", 0)
    assert choices["cam"] == small_model.card.localization
    assert {each.scales for each in choices.values()} == {(1.0, 1.5)}


def test_beside_a_fitted_map_others_have_the_published_rules(small_model):
    own = map_choices(small_model)["foreground"]
    small_model.card = small_model.card.model_copy(update={"localization": own})
    choices = map_choices(small_model)
    assert next(iter(choices)) == "foreground"
    assert (choices["cam"].normalizer, choices["cam"].threshold) == ("min_max", 0.2)
