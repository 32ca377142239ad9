"""Every method of the registry under one contract; Hide-and-Seek and CutMix by what is known of them."""

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import kstest

from mldfr.core.errors import SettingError
from mldfr.core.registry import UnknownNameError
from mldfr.maps import MAPS
from mldfr.methods import METHODS
from mldfr.methods.base import classification_loss, make_method
from mldfr.methods.cutmix import CutMix, box_side
from mldfr.methods.has import HideAndSeek
from mldfr.methods.heads import ConvCls

SMALL = {
    "danet": {"maps": 2, "width": 8, "families": [0, 1, 0, 1], "orders": [0, 0]},
    "i2c": {"width": 16},
    "spg": {"width": 8},
    "acol": {"width": 16},
    "sp": {"width": 16},
}
"""Options with which a head is small."""
EACH = pytest.mark.parametrize("name", METHODS.names())


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=6, side=64, classes=5):
    torch.manual_seed(1)
    return torch.randn(count, 3, side, side), torch.randint(classes, (count,))


def small_head(name):
    """A head for features of 7 channels and 4 classes."""
    torch.manual_seed(2)
    return make_method(name, SMALL.get(name, {})).head_on_stages((3, 5, 6, 7), 4, bias=True)


def outputs_of(head, targets):
    """What it gives in training."""
    earlier = [torch.rand(len(targets), (3, 5, 6)[stage], 10, 12) for stage in head.earlier]
    return head.training_outputs(torch.rand(len(targets), 7, 5, 6), targets, *([earlier] if earlier else []))


# ---- the contract


@EACH
@pytest.mark.parametrize("multi_label", [False, True])
def test_augmenting_keeps_shapes_inputs_and_the_sum_of_targets(name, multi_label):
    images, targets = batch()
    if multi_label:
        targets = (torch.rand(6, 5) > 0.5).to(torch.uint8)
    before = images.clone(), targets.clone()
    changed, wanted = make_method(name, {}).augment(images, targets, generator(), num_classes=5)
    assert torch.equal(images, before[0])
    assert torch.equal(targets, before[1])
    assert (changed.shape, changed.dtype) == (images.shape, images.dtype)
    if wanted.ndim == 2 and not multi_label:
        torch.testing.assert_close(wanted.sum(dim=1), torch.ones(6))
    if multi_label:
        assert ((wanted >= 0) & (wanted <= 1)).all()


@EACH
def test_augmenting_depends_on_the_generator_alone(name):
    images, targets = batch()
    method = make_method(name, {})
    torch.manual_seed(5)
    one = method.augment(images, targets, generator(3), num_classes=5)
    torch.manual_seed(6)
    other = method.augment(images, targets, generator(3), num_classes=5)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@EACH
def test_heads_agree_with_themselves(name):
    head = small_head(name).eval()
    features = torch.rand(2, 7, 5, 6)
    with torch.inference_mode():
        logits, maps = head(features)
        torch.testing.assert_close(head.logits(features), logits)
        torch.testing.assert_close(head.score_maps(features[1], [3, 0]), maps[1][[3, 0]])


@EACH
def test_a_head_becomes_a_linear_layer_or_says_that_it_is_none(name):
    head, (weight, bias) = small_head(name).eval(), (torch.randn(4, 7), torch.randn(4))
    features = torch.rand(2, 7, 5, 6)
    if isinstance(head, ConvCls):
        head.take_classifier(weight, bias)
        torch.testing.assert_close(head.logits(features), head.pooled(features) @ weight.T + bias)
        return
    for asked in (lambda: head.pooled(features), lambda: head.take_classifier(weight, bias)):
        with pytest.raises(SettingError, match="is no linear layer on pooled features"):
            asked()


class OfHead(torch.nn.Module):
    """What a graph that is exported asks of a head."""

    def __init__(self, head):
        super().__init__()
        self.head, self.map = head, MAPS["cam"].for_head(head)

    def forward(self, features, classes, earlier):
        return self.head.logits(features[None]), self.map(features, classes, self.head, earlier)


@EACH
def test_heads_are_exported_for_maps_of_any_size_and_any_number_of_classes(name):
    head, free = OfHead(small_head(name)).eval(), torch.export.Dim.DYNAMIC
    sides = {1: free, 2: free}

    def given(height, width, classes):
        strides = {1: 2, 2: 1}  # against the last stage
        earlier = [torch.rand((3, 5, 6)[n], strides[n] * height, strides[n] * width) for n in head.map.earlier]
        return torch.rand(7, height, width), torch.tensor(classes), earlier

    shapes = {0: 7, **sides}, {0: free}, [sides for _ in head.map.earlier]
    with torch.no_grad():
        program = torch.export.export(head, given(5, 6, [3, 0]), dynamic_shapes=shapes)
        for values in (given(5, 6, [3, 0]), given(8, 4, [1, 2, 0])):
            torch.testing.assert_close(program.module()(*values), head(*values))


@EACH
def test_what_stands_in_the_trunk_is_exported_for_maps_of_any_size(name):
    torch.manual_seed(2)
    free = torch.export.Dim.DYNAMIC
    for part in make_method(name, {}).stage_modules((16, 16, 16, 16)).values():
        for norm in (each for each in part.modules() if isinstance(each, torch.nn.BatchNorm2d)):
            torch.nn.init.ones_(norm.weight)  # at its start a residual is nothing
        with torch.no_grad():
            example = (torch.rand(1, 16, 6, 8),)
            program = torch.export.export(part.eval(), example, dynamic_shapes=({2: free, 3: free},)).module()
            for given in (*example, torch.rand(1, 16, 9, 5)):
                torch.testing.assert_close(program(given), part(given))


@EACH
def test_the_loss_of_hard_targets_is_that_of_the_same_soft_ones(name):
    targets = torch.randint(4, (6,))
    method = make_method(name, SMALL.get(name, {}))
    outputs = outputs_of(small_head(name), targets)
    assert outputs[0].shape == (6, 4)
    torch.testing.assert_close(
        method.loss(outputs, targets, multi_label=False), method.loss(outputs, F.one_hot(targets, 4), multi_label=False)
    )


@EACH
@pytest.mark.parametrize("multi_label", [False, True])
def test_the_loss_is_a_finite_number_that_depends_on_the_head(name, multi_label):
    head, targets = small_head(name), torch.tensor([0, 1, 3, 1, 1, 2])
    if multi_label:
        targets = torch.tensor([[0, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]).repeat(2, 1)
    outputs = outputs_of(head.train(), targets)
    loss = make_method(name, SMALL.get(name, {})).loss(outputs, targets, multi_label=multi_label)
    loss.backward()
    gradients = [part.grad for part in head.parameters() if part.requires_grad]
    assert loss.isfinite()
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


def test_the_loss_of_shares_is_the_shares_of_the_losses():
    logits, one, other = torch.randn(6, 5), torch.randint(5, (6,)), torch.randint(5, (6,))
    mixed = 0.3 * F.one_hot(one, 5) + 0.7 * F.one_hot(other, 5)
    expected = 0.3 * F.cross_entropy(logits, one) + 0.7 * F.cross_entropy(logits, other)
    torch.testing.assert_close(classification_loss(logits, mixed, multi_label=False), expected)


def test_unknown_methods_and_options_are_named():
    with pytest.raises(UnknownNameError, match=r"unknown method 'cutmixx' \(did you mean 'cutmix'\?\)"):
        make_method("cutmixx", {})
    with pytest.raises(SettingError, match="method_options of has: unknown size; it has cell, rate"):
        make_method("has", {"size": 3})
    with pytest.raises(SettingError, match="method_options of cam: unknown cell; it has none"):
        make_method("cam", {"cell": 3})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("has", {"cell": 0}, "cell is a number of pixels, at least 1; got 0"),
        ("has", {"cell": True}, "got True"),
        ("has", {"rate": 1.5}, r"rate is a number from 0 to 1; got 1\.5"),
        ("cutmix", {"beta": 0}, "beta is a number over 0; got 0"),
        ("cutmix", {"probability": "half"}, "probability is a number from 0 to 1; got 'half'"),
    ],
)
def test_options_out_of_range_are_refused(name, options, message):
    with pytest.raises(SettingError, match=message):
        make_method(name, options)


# ---- Hide-and-Seek


@pytest.mark.parametrize(("cell", "cells"), [(56, 16), (44, 36), (32, 49), (16, 196), (4, 3136)])
def test_the_cells_of_224_pixels(cell, cells):
    """Every cell is hidden whole or left as it was, and there are as many as the authors have."""
    images = torch.full((1, 3, 224, 224), 5.0)
    changed, _ = HideAndSeek(cell=cell).augment(images, torch.tensor([0]), generator(), num_classes=1)
    found = 0
    for row in range(0, 224, cell):
        for column in range(0, 224, cell):
            values = changed[..., row : row + cell, column : column + cell]
            assert (values == 0).all() or (values == 5).all()
            found += 1
    assert found == cells
    assert set(changed.unique().tolist()) == {0, 5}


def test_nothing_and_everything_is_hidden_at_the_ends():
    images, targets = batch(side=70)
    for rate, expected in ((0.0, images), (1.0, torch.zeros_like(images))):
        changed, wanted = HideAndSeek(rate=rate).augment(images, targets, generator(), num_classes=5)
        assert torch.equal(changed, expected)
        assert torch.equal(wanted, targets)


def test_the_hidden_share_is_that_of_49_coins():
    """Mean p and standard deviation sqrt(p (1 - p) / 49) = 0.0714, independently in each picture."""
    images = torch.ones(2000, 3, 224, 224).expand(2000, 3, 224, 224)[:, :1]
    changed, _ = HideAndSeek(cell=32).augment(images, torch.zeros(2000, dtype=torch.long), generator(), num_classes=1)
    hidden = 1 - changed.mean(dim=(1, 2, 3))
    assert float(hidden.mean()) == pytest.approx(0.5, abs=4 * 0.0714 / 2000**0.5)
    assert float(hidden.std()) == pytest.approx(0.0714, rel=0.06)


# ---- CutMix


def test_the_golden_boxes():
    assert [box_side(centre, 224, 0.75) for centre in (112, 0, 224)] == [(56, 168), (0, 56), (168, 224)]
    assert box_side(112, 224, 0.0) == (0, 224)
    assert box_side(50, 224, 1.0) == (50, 50)
    area = (168 - 56) ** 2 / 224**2
    assert (1 - area, 1 - 56**2 / 224**2) == (0.75, 0.9375)


@pytest.mark.parametrize("seed", range(12))
def test_the_mixing_ratio_is_the_area_that_was_not_replaced(seed):
    images = torch.arange(4.0)[:, None, None, None].expand(4, 3, 60, 80)  # each picture is its own number
    targets = torch.arange(4)
    mixed, wanted = CutMix().augment(images, targets, generator(seed), num_classes=4)
    for index in range(4):
        areas = torch.stack([(mixed[index, 0] == other).float().mean() for other in range(4)])
        torch.testing.assert_close(wanted[index], areas)
        other = mixed[index, 0] != index
        rows, columns = torch.where(other)
        if len(rows):  # what was replaced is one box
            box = other[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert box.all()
            assert box.sum() == other.sum()


def test_at_the_border_more_is_kept_than_was_drawn(monkeypatch):
    images, targets = batch(side=224)
    shares = []
    own = CutMix._share
    monkeypatch.setattr(CutMix, "_share", lambda self, generator: shares.append(own(self, generator)) or shares[-1])
    for seed in range(60):
        mixed, _ = CutMix().augment(images, targets, generator(seed), num_classes=5)
        changed = (mixed != images).any(dim=1).float().mean(dim=(1, 2)).max()
        assert 1 - float(changed) >= shares[-1] - 1e-6
    assert kstest(shares, "uniform").pvalue > 0.01  # Beta(1, 1)


def test_batches_that_are_not_mixed():
    images, targets = batch()
    mixed, wanted = CutMix(probability=0.0).augment(images, targets, generator(), num_classes=5)
    assert torch.equal(mixed, images)
    assert torch.equal(wanted, F.one_hot(targets, 5).float())
    half = CutMix(probability=0.5)
    same = [torch.equal(half.augment(images, targets, generator(seed), num_classes=5)[0], images) for seed in range(80)]
    assert 25 < sum(same) < 55


def test_several_labels_are_mixed_as_vectors():
    images = torch.arange(2.0)[:, None, None, None].expand(2, 3, 32, 32)
    targets = torch.tensor([[1, 1, 0], [0, 1, 1]], dtype=torch.uint8)
    mixed, wanted = CutMix().augment(images, targets, generator(2), num_classes=3)
    kept = float((mixed[0] == 0).float().mean())
    torch.testing.assert_close(wanted[0], torch.tensor([kept, 1.0, 1 - kept]))
