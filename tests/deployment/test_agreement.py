"""How near an exported model has to be to its network: in parts of the largest value of a kind, in both classes."""

from dataclasses import replace

import pytest

from helpers import random_picture, small_network
from mldfr.deployment.base import DeploymentError
from mldfr.deployment.exporting import compare
from mldfr.localizer.sources import NetworkSource


@pytest.fixture
def made():
    """A network whose class 0 has maps of next to nothing, as classes have that are not in a picture."""
    made = small_network("mobilenet_v2", recalibration="none")
    made.head.weight.data[0] *= 1e-3
    return made


def off_in_class_0(made, share):
    """The network itself, but for the summed map of class 0, which is off by a share of what the best class has."""
    activate = NetworkSource(made).activator((1.0,))

    def run(pixels, chosen):
        found = activate(pixels, chosen)
        best = int(found[0].logits.argmax())
        largest = float(activate(pixels, [[best]])[0].score_maps.abs().max())
        return [replace(each, score_maps=each.score_maps + share * largest * (each.classes == (0,))) for each in found]

    return run


def test_a_map_of_next_to_nothing_is_not_held_to_itself(made):
    images = [random_picture(70, 90)]
    agreement = compare(made, off_in_class_0(made, 0.4), scales=(1.0,), precision="int8", images=images)
    assert agreement.difference == pytest.approx(0.4 * agreement.largest, rel=1e-3)


@pytest.mark.parametrize(("share", "precision"), [(0.6, "int8"), (0.01, "f32")])
def test_what_is_further_off_is_refused(made, share, precision):
    with pytest.raises(DeploymentError, match="differs from the network"):
        compare(made, off_in_class_0(made, share), scales=(1.0,), precision=precision, images=[random_picture(70, 90)])
