"""NL-CCAM: weights of ranks, combined maps against a loop, and blocks that begin as nothing."""

import numpy as np
import pytest
import torch

from helpers import small_network
from mldfr.core.errors import SettingError
from mldfr.methods.nl_ccam import COMBINATIONS, NonLocal, NonLocalCombination, combination_weights

FEATURES = torch.rand(7, 5, 6, generator=torch.Generator().manual_seed(0))


def test_the_golden_weights():
    assert combination_weights("quadratic", 6).tolist() == [1, 0.25, 0, 0, -0.25, -1]
    assert combination_weights("quadratic", 4).tolist() == combination_weights("t1b1", 4).tolist() == [1, 0, 0, -1]
    assert combination_weights("t1b0", 3).tolist() == [1, 0, 0]
    assert combination_weights("linear", 5).tolist() == [1, 0.5, 0, -0.5, -1]
    assert [combination_weights(name, 1).tolist() for name in COMBINATIONS] == [[1]] * 4
    assert combination_weights("quadratic", 2).tolist() == [1, -1]


@pytest.mark.parametrize("combination", ["t1b1", "linear", "quadratic"])
def test_what_all_classes_have_in_common_cancels(combination):
    assert float(combination_weights(combination, 200).sum()) == pytest.approx(0, abs=1e-4)
    head = NonLocalCombination(combination).head(7, 6, bias=True)
    before = head.score_maps(FEATURES, [2])
    with torch.no_grad():
        head.weight += torch.randn(7)[:, None, None]
    torch.testing.assert_close(head.score_maps(FEATURES, [2]), before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("combination", COMBINATIONS)
def test_maps_are_sums_over_ranked_classes_with_the_wanted_one_first(combination):
    head = NonLocalCombination(combination).head(7, 6, bias=True)
    maps = np.einsum("kc,chw->khw", head.weight.detach().flatten(1).numpy(), FEATURES.numpy())
    ranked = np.argsort(-maps.mean(axis=(1, 2))).tolist()
    for wanted in range(6):
        order = [wanted, *(index for index in ranked if index != wanted)]
        weights = combination_weights(combination, 6).numpy()
        expected = sum(weight * maps[index] for weight, index in zip(weights, order, strict=True))
        np.testing.assert_allclose(head.score_maps(FEATURES, [wanted])[0].detach(), expected, atol=1e-5)


def test_the_first_class_alone_is_plain_cam():
    head = NonLocalCombination("t1b0").head(7, 6, bias=True)
    maps = torch.einsum("kc,chw->khw", head.weight.flatten(1), FEATURES)
    torch.testing.assert_close(head.score_maps(FEATURES, range(6)), maps, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_block_begins_as_the_identity_to_the_bit(training):
    features = torch.randn(2, 16, 4, 5)
    assert torch.equal(NonLocal(16).train(training)(features), features)


def test_a_block_never_holds_all_pairs_of_cells(monkeypatch):
    choices, attention = [], torch.nn.functional.scaled_dot_product_attention
    fused = torch._fused_sdp_choice

    def chosen(*told, **options):
        choices.append(fused(*told, **options))
        return attention(*told, **options)

    monkeypatch.setattr("torch.nn.functional.scaled_dot_product_attention", chosen)
    NonLocal(16)(torch.randn(1, 16, 8, 8))
    assert choices == [1]  # flash attention; 0 is the formula written out


def test_a_block_is_softmax_attention_by_hand():
    block = NonLocal(16).eval()
    torch.nn.init.ones_(block.norm.weight)
    features = torch.randn(1, 16, 3, 4)
    query, key, value = (part(features)[0].flatten(1) for part in (block.query, block.key, block.value))  # (2, 12)
    seen = value @ torch.softmax(query.T @ key, dim=1).T
    expected = features + block.mix(seen.view(1, 2, 3, 4)) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(block(features), expected, rtol=1e-4, atol=1e-5)


def test_a_network_that_begins_has_the_logits_of_plain_cam():
    network = small_network("mobilenet_v2", "none", method="nl_ccam")
    for block in network.behind_stages.values():
        torch.nn.init.zeros_(block.norm.weight)
        block.norm.running_mean.zero_()
    plain = small_network("mobilenet_v2", "none")
    plain.load_state_dict({key: value for key, value in network.state_dict().items() if "behind" not in key})
    image = torch.randn(1, 3, 64, 64)
    assert list(network.behind_stages) == ["0", "1", "2", "3"]
    torch.testing.assert_close(network(image)[0], plain(image)[0])


@pytest.mark.parametrize("options", [{"combination": "cubic"}, {"behind": [4]}, {"behind": "123"}, {"behind": [True]}])
def test_options_that_do_not_exist_are_refused(options):
    with pytest.raises(SettingError):
        NonLocalCombination(**options)
