"""Inter-image communication: pairs, seeds, distances and centres by hand."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from forked import METHOD
from mldfr.core.errors import SettingError
from mldfr.methods.heads import spatial_min_max
from mldfr.methods.i2c import InterImageCommunication
from mldfr.networks.network import LocalizationNetwork
from mldfr.training import memory
from mldfr.training.examples import Order, side_by_side
from mldfr.training.fit import make_order
from mldfr.training.recipe import RecipeError, Training

FEATURES = torch.rand(4, 7, 5, 6, generator=torch.Generator().manual_seed(0))


def small(**options):
    torch.manual_seed(0)
    return InterImageCommunication(width=16, **options).head(7, 4, bias=True)


def test_two_equal_pictures_have_no_distance():
    pair = FEATURES[:1].repeat(2, 1, 1, 1)
    _, local, _ = small().eval().training_outputs(pair, torch.tensor([2, 2]))
    assert 0 <= local.item() < 1e-5


def test_distances_by_hand_where_every_cell_is_a_seed():
    """All 30 cells, in an order by chance that both pictures share: at a threshold of 0 the minima alone are cold."""
    head = small(seeds=30, threshold=0.0).eval()
    head.bank.normal_()
    head.visits[1] = 3
    _, local, towards_class = head.training_outputs(FEATURES, torch.tensor([1, 1, 0, 2]))
    centres = FEATURES[:2].mean(dim=(0, 2, 3))  # of all cells of both pictures; the other two are no pair
    assert towards_class.item() == pytest.approx(float((head.bank[1] - centres).norm()), abs=1e-4)
    maps = spatial_min_max(head(FEATURES)[1][:2, 1]).flatten(1)
    cold = maps.argmin(dim=1).tolist()
    if cold[0] == cold[1]:
        assert local.item() == pytest.approx(float((FEATURES[0] - FEATURES[1]).norm(dim=0).mean()), abs=1e-4)


def test_seeds_are_drawn_among_hot_cells_and_filled_up_with_the_hottest():
    head, maps = small(), torch.tensor([[[0.0, 0.8, 1.0, 0.9, 0.75], [0.0, 0.1, 1.0, 0.6, 0.2]]])
    drawn = [head.picked(maps) for _ in range(50)]
    assert {index for each in drawn for index in each[0, 0].tolist()} == {1, 2, 3, 4}
    assert all(each[0, 1].tolist() == [2, 3, 4] for each in drawn)


def test_a_map_of_fewer_cells_gives_all_of_them():
    assert small(seeds=40).picked(torch.rand(2, 2, 30)).sort().values.tolist() == [[[*range(30)]] * 2] * 2


def test_centres_are_set_at_the_first_visit_and_then_move_less_and_less():
    head, label = small().train(), torch.tensor([3, 3])
    values = [torch.full((1, 7), value) for value in (2.0, 5.0, -1.0)]
    expected = torch.zeros(7)
    for visits, value in enumerate(values):
        head._visit(label[:1], value, torch.ones(1))
        eta = math.exp(-0.002 * visits)
        expected = (1 - eta) * expected + eta * value[0]
        torch.testing.assert_close(head.bank[3], expected)
    assert head.visits.tolist() == [0, 0, 0, 3]
    assert not head.bank[:3].any()


def test_the_pairs_of_all_processes_are_one_visit(tmp_path):
    torch.multiprocessing.start_processes(_visit_together, (str(tmp_path),), nprocs=2, start_method=METHOD)


def _visit_together(rank, folder):
    label, centres = torch.tensor([3, 0, 3, 1, 3]), torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    real = torch.tensor([1.0, 1, 1, 0, 1])
    alone, together = small().train(), small().train()
    for head in (alone, together):
        head.bank[3], head.visits[3] = 1.0, 50
    alone._visit(label, centres, real)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    share = slice(0, 2) if rank == 0 else slice(2, 5)
    together._visit(label[share], centres[share], real[share])
    torch.testing.assert_close(together.bank, alone.bank)
    assert together.visits.tolist() == alone.visits.tolist() == [1, 0, 0, 51]
    assert memory.needed(LocalizationNetwork.create("mobilenet_v2", num_classes=2, method="i2c"), 2, 64)
    torch.distributed.destroy_process_group()


def test_the_bank_is_touched_in_training_alone_and_first_visits_have_no_distance():
    head = small()
    before = head.bank.clone()
    head.eval().training_outputs(FEATURES, torch.tensor([0, 0, 1, 1]))
    assert torch.equal(head.bank, before)
    _, _, towards_class = head.train().training_outputs(FEATURES, torch.tensor([0, 0, 1, 2]))
    assert towards_class == 0
    assert head.visits.tolist() == [1, 0, 0, 0]  # pictures of two classes are no pair


def test_without_weights_it_is_the_loss_of_the_logits():
    outputs, targets = small().training_outputs(FEATURES, torch.tensor([0, 0, 1, 1])), torch.tensor([0, 0, 1, 1])
    method = InterImageCommunication(local_weight=0, global_weight=0)
    torch.testing.assert_close(method.loss(outputs, targets, multi_label=False), F.cross_entropy(outputs[0], targets))


def test_several_labels_pair_by_one_that_is_shared():
    targets = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [1, 0, 0, 0], [0, 1, 1, 0]])
    head = small().train()
    head.training_outputs(FEATURES, targets)
    assert head.visits.tolist() == [0, 0, 0, 1]


def test_an_order_of_pairs():
    labels = [(index % 3,) for index in range(20)]
    order = Order(20, 4, 1, epochs=3, seed=5, together=2, labels=labels)
    epochs = np.array([[key.example for key in batch] for batch in order]).reshape(3, 20)
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)  # every picture once
    assert len({tuple(epoch) for epoch in epochs}) == 3
    for epoch in epochs:
        alike = [labels[one] == labels[other] for one, other in epoch.reshape(-1, 2)]
        assert alike.count(False) <= 1  # 7, 7 and 6 pictures: two are left over
    again = Order(20, 4, 1, epochs=3, seed=5, together=2, labels=labels, first_epoch=1, first_step=2)
    assert [[key.example for key in batch] for batch in again] == epochs[1:].reshape(-1, 4)[2:].tolist()


def test_pictures_without_labels_and_with_several_are_ordered_too():
    labels = [(), (0, 1), (1,), (), (0,)]
    found = side_by_side(range(5), labels, 2, np.random.default_rng(0))
    assert Counter(found) == Counter(range(5))


def test_shares_hold_whole_pairs():
    training = Training(batch_size=6, accumulate=2)
    with pytest.raises(RecipeError, match="with 2 pictures of a class side by side; take a multiple of 4"):
        make_order(training, 100, together=2)
    assert make_order(Training(batch_size=64, accumulate=1), 13, together=2).batch_size == 12


@pytest.mark.parametrize("options", [{"local_weight": -1}, {"seeds": 0}, {"threshold": 2}, {"global_weight": "a"}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SettingError):
        InterImageCommunication(**options)
