"""Score maps and rankings of pictures, before anything is judged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from judged_pictures import (
    SINGLE,
    flat_map,
    picture,
)

from helpers import tensor
from mldfr.evaluation import maps_and_ranking
from mldfr.evaluation.maps_and_ranking import UNRANKED, Evidence, observe, rank
from mldfr.evaluation.protocols import PAPER, WSOLEVALUATION
from mldfr.evaluation.record import judge
from mldfr.evaluation.run import Sources, evaluate
from mldfr.images import ImageError
from mldfr.jobs.job import Unkept
from mldfr.localizer.map_files import ScoreMap
from mldfr.localizer.mscam import mscam
from mldfr.localizer.sources import NetworkSource
from mldfr.networks.network import LocalizationNetwork


def test_maps_taken_as_they_are():
    """Where no normaliser is named each protocol takes its own: Eq. 9 for the paper, none for wsolevaluation."""
    sample, evidence = picture(0, 0, [(0, 0, 60, 60)]), Evidence(100, 100, UNRANKED, {})
    evidence = replace(evidence, maps={0: ScoreMap(flat_map(100, 100, (0, 0, 60, 60), 0.5))})
    rules = replace(SINGLE, normalizer=None, threshold=0.6)
    record = judge(sample, evidence, rules)
    for protocol in ("paper", "authors"):
        assert record.boxes[protocol][0].xyxy.tolist() == [[0, 0, 60, 60]]
    half = np.array([[0.5, 0]], dtype=np.float32)
    assert rules.normalize(half, PAPER).tolist() == [[1, 0]]
    assert rules.normalize(half, WSOLEVALUATION).tolist() == [[0.5, 0]]
    assert replace(rules, normalizer="max").normalize(half, WSOLEVALUATION).tolist() == [[1, 0]]
    with pytest.raises(ValueError, match="finite"):
        rules.normalize(np.array([[np.nan, 0]], dtype=np.float32), WSOLEVALUATION)


@given(score_map=arrays.arrays(np.float32, (6, 7), elements=st.floats(-1000, 1000, width=32)))
def test_a_map_keeps_its_range(score_map):
    kept = ScoreMap.of(score_map)
    spread = float(np.ptp(score_map))
    assert kept.values.min() >= 0
    assert kept.values.max() <= 1
    assert kept.constant == (spread == 0)
    np.testing.assert_allclose(kept.at(6, 7), score_map, rtol=1e-6, atol=1e-6 * spread)
    assert (kept.lowest, kept.highest) == (score_map.min(), score_map.max())


def test_a_map_at_another_size_is_pytorchs():
    score_map = (torch.randn(14, 20) * 5 - 3).numpy()
    for height, width in ((120, 77), (14, 40), (7, 9)):
        expected = F.interpolate(torch.from_numpy(score_map)[None, None], (height, width), mode="bilinear")[0, 0]
        np.testing.assert_allclose(ScoreMap.of(score_map).at(height, width), expected, atol=1e-4)
    assert ScoreMap.of(score_map).at(14, 20).dtype == np.float32


def test_a_constant_map_stays_one():
    kept = ScoreMap.of(np.full((4, 5), -2.5, dtype=np.float32))
    assert kept.constant
    np.testing.assert_array_equal(kept.at(9, 3), np.full((9, 3), -2.5, dtype=np.float32))


def test_a_map_in_the_unit_range_is_not_touched():
    values = np.random.default_rng(0).random((5, 6)).astype(np.float32)
    assert ScoreMap(values).at(5, 6) is values


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="1 of 2 values are not"):
        ScoreMap.of(np.array([[np.inf, 0]], dtype=np.float32))


def test_ranking_one_label():
    logits = torch.tensor([0.0, 3.0, 1.0, 1.0, -2.0, 0.5, 3.0])
    ranking = rank(logits, multi_label=False)
    assert ranking.top == (1, 6, 2, 3, 5)  # equal ones in the order of their numbers
    assert ranking.predicted == (1,)
    exponentials = np.exp(logits.double().numpy())
    assert ranking.probabilities == pytest.approx({k: exponentials[k] / exponentials.sum() for k in ranking.top})


def test_ranking_several_labels():
    ranking = rank(torch.tensor([-4.0, 2.0, -2.0, -2.3]), multi_label=True)
    assert ranking.top == (1, 2, 3, 0)
    assert ranking.predicted == (1, 2)  # 0.88 and 0.12; the next has 0.09
    assert ranking.probabilities == pytest.approx({k: 1 / (1 + np.exp(-x)) for k, x in enumerate([-4, 2, -2, -2.3])})
    assert rank(torch.tensor([-9.0, -8.0]), multi_label=True).predicted == (1,)  # the best, however unlikely


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return LocalizationNetwork.create("mobilenet_v2", num_classes=6).eval()


def assert_like_mscam(network, samples, found, *, multi_label=False):
    assert [sample for sample, _ in found] == samples
    assert isinstance(found[1][1], ImageError)
    for sample, evidence in (item for item in found if isinstance(item[1], Evidence)):
        image = tensor(sample.path)
        (everything,) = mscam(network, [image], scales=(1.0,), classes="all")
        ranking = rank(everything.logits, multi_label=multi_label)
        assert (evidence.height, evidence.width) == tuple(image.shape[1:])
        assert evidence.ranking.top == ranking.top
        assert evidence.ranking.probabilities == pytest.approx(ranking.probabilities, abs=1e-5)
        assert evidence.maps.keys() == {*sample.labels, *ranking.predicted}
        for k, score_map in evidence.maps.items():
            expected = everything.score_maps[k].numpy()
            np.testing.assert_allclose(score_map.at(*image.shape[1:]), expected, atol=1e-4 * np.ptp(expected))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_observing_is_mscam(network, pictures, batch_size):
    found = list(observe(NetworkSource(network), pictures, scales=(1.0,), batch_size=batch_size))
    assert_like_mscam(network, pictures, found)


def test_observing_a_multi_label_network_maps_all_likely_classes(pictures):
    torch.manual_seed(1)
    network = LocalizationNetwork.create("mobilenet_v2", num_classes=6, multi_label=True).eval()
    found = list(observe(NetworkSource(network), pictures, scales=(1.0,), batch_size=2))
    assert_like_mscam(network, pictures, found, multi_label=True)
    assert len(found[0][1].ranking.predicted) > 1


@pytest.mark.parametrize(("multi_label", "classes"), [(False, 6), (True, 6), (True, 40)])
def test_maps_that_are_made_share_the_memory(pictures, monkeypatch, multi_label, classes):
    """No batch needs more than what it was said to."""
    torch.manual_seed(1)
    network = LocalizationNetwork.create("mobilenet_v2", num_classes=classes, multi_label=multi_label).eval()
    told = []

    def in_order(function, items, *, weight):
        for batch in items:
            made = function(batch)
            told.append((weight(batch) * 2**30, sum(each.map_bytes for _, each in made if isinstance(each, Evidence))))
            yield made

    monkeypatch.setattr(maps_and_ranking, "spread", in_order)
    list(observe(NetworkSource(network), pictures, scales=(1.0,), batch_size=3))
    assert all(0 < made <= before for before, made in told)
    maps = 2 * classes if multi_label else 1 + 1 + 2 + 1  # of two pictures; the one between them cannot be read
    assert told[0][0] == pytest.approx(4 * maps * 90 * 70)


def test_maps_that_wait_to_be_judged_share_the_memory(network, pictures, monkeypatch):
    told = []

    def in_order(pool, function, items, depth, *, weight):
        for item in items:
            told.append(weight(item) * 2**30)
            yield function(item)

    monkeypatch.setattr("mldfr.evaluation.run.ahead", in_order)
    sources = Sources(NetworkSource(network), (1.0,))
    found = [record for _, record in evaluate(pictures, sources, SINGLE, Unkept(each.id for each in pictures))]
    maps = [
        len({*sample.labels, *getattr(record, "ranking", UNRANKED).predicted})
        for sample, record in zip(pictures, found, strict=True)
    ]
    assert told == pytest.approx([4 * maps[0] * 90 * 70, 0, 4 * maps[2] * 90 * 70, 4 * maps[3] * 64 * 80])


def test_class_agnostic_takes_the_most_probable_class_whatever_the_labels(network, pictures):
    others = [replace(sample, labels=(99,)) for sample in pictures]  # the network has no such class
    for sample, evidence in observe(NetworkSource(network), others, scales=(1.0,), class_agnostic=True, batch_size=2):
        if isinstance(evidence, ImageError):
            continue
        (best,) = mscam(network, [tensor(sample.path)], scales=(1.0,), classes=1)
        expected = best.score_maps[0].numpy()
        assert evidence.ranking == UNRANKED
        assert list(evidence.maps) == [0]
        np.testing.assert_allclose(evidence.maps[0].at(*expected.shape), expected, atol=1e-4 * np.ptp(expected))


def test_observing_nothing(network):
    assert list(observe(NetworkSource(network), [], scales=(1.0,))) == []
