import pytest

from mldfr.boxes.normalizers import NORMALIZERS
from mldfr.boxes.rules import BOX_RULES
from mldfr.core.registry import Registry, UnknownNameError
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.recalibration import CONVOLUTION, POOLING
from mldfr.networks.zoo import MODELS

REGISTRIES = [BACKBONES, POOLING, CONVOLUTION, NORMALIZERS, BOX_RULES, MODELS]


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
