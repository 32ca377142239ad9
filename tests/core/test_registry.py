import pytest

from mldfr.boxes.instances import INSTANCES
from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.refinement import REFINEMENTS
from mldfr.boxes.rules import BOX_RULES
from mldfr.core.registry import Registry, UnknownNameError
from mldfr.data import READERS
from mldfr.deployment import DEPLOYMENT_FORMATS
from mldfr.deployment.runtimes import RUNTIMES
from mldfr.evaluation.metrics import SET_METRICS
from mldfr.evaluation.protocols import PROTOCOLS
from mldfr.evaluation.selection import CRITERIA
from mldfr.exports import FORMATS, MAP_FORMATS
from mldfr.methods import METHODS
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.recalibration import CONVOLUTION, POOLING
from mldfr.networks.zoo import MODELS

REGISTRIES = [
    *(BACKBONES, POOLING, CONVOLUTION, METHODS, MODELS),
    *(NORMALIZERS, BOX_RULES, INSTANCES, REFINEMENTS),
    *(READERS, FORMATS, MAP_FORMATS, PROTOCOLS, CRITERIA, SET_METRICS, DEPLOYMENT_FORMATS, RUNTIMES),
]


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda registry: registry.kind)
def test_every_entry_can_be_imported(registry):
    assert registry.names()
    assert all(registry[name] is not None for name in registry)


def test_unknown_name_is_answered_with_the_known_and_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown backbone 'resnet5'.*did you mean 'resnet50'.*known: vgg16, "):
        BACKBONES["resnet5"]


def test_nothing_is_imported_before_its_name_is_asked_for():
    registry = Registry("thing", {"broken": "mldfr.no_such_module:thing"})
    assert registry.check("broken") == "broken"
    with pytest.raises(ModuleNotFoundError):
        registry["broken"]


def test_a_prefix_makes_names_that_are_not_listed():
    registry = Registry("thing", {"pi": "math:pi"}, makers={"up:": "mldfr.core.registry:UnknownNameError"})
    assert registry.check("up:anything") == "up:anything"
    assert str(registry["up:anything"]) == "up:anything"
    assert registry.names() == ("pi",)
    assert "up:" not in registry
    with pytest.raises(UnknownNameError, match="known: pi, up:NAME"):
        registry["down:anything"]
