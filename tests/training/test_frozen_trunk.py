"""Heads on prepared features: against scikit-learn, against what the model itself says, and through a kill."""

import csv
import itertools
import json
import shutil
import signal
import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from typer.testing import CliRunner

import mldfr
from forked import Program
from helpers import lively, look_small, small_sides, tensor
from mldfr.api.progress import Progress
from mldfr.artifacts import HeldOutBoxes
from mldfr.cli.main import app
from mldfr.core.errors import SettingError
from mldfr.core.types import Sample
from mldfr.data import open_data
from mldfr.networks.network import LocalizationNetwork
from mldfr.training import linear_head, prepared_features
from mldfr.training.fit import fit
from mldfr.training.held_out import held_out_accuracy
from mldfr.training.linear_head import Loaded, Problem, cross_validate
from mldfr.training.plan import make_plan
from mldfr.training.prepare import create_network, prepare
from mldfr.training.prepared_features import View, mean_features, views_of
from mldfr.training.recipe import RecipeError, load_recipe
from mldfr.training.run_folder import RunError
from mldfr.training.training_state import TrainingError
from training.small_runs import material, weights

SMALL = (
    *("model.backbone=mobilenet_v2", "augmentation.input_size=64", "data.workers=0", "method=cam"),
    *("probe.scales=[1]", "probe.flip=true", "probe.folds=2"),
)


SIDES = (64, 96)
"""At which the map that comes with the head looks at pictures here, which are as small."""


@pytest.fixture(scope="module", autouse=True)
def _small_sides():
    with pytest.MonkeyPatch.context() as patch:
        look_small(patch, *SIDES)
        yield


@pytest.fixture(scope="session")
def trunk(tmp_path_factory):
    """Weights of a trunk whose features tell something."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("trunk") / "trunk.safetensors"
    network = LocalizationNetwork.create(
        "mobilenet_v2", num_classes=2, recalibration="none", classifier_bias=True, last_downsampling="dilate"
    )
    lively(network).save(file)
    return file


def frozen(trunk, *settings):
    return load_recipe("frozen", [*SMALL, *settings], weights=str(trunk))


@pytest.fixture(scope="module")
def finished(pictures, trunk, tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "frozen"
    recipe = frozen(trunk)
    fit(recipe, material(pictures, recipe), run, source=f"folder:{pictures}", device="cpu")
    return run


def read(run):
    """Features (n, V, C) and the indices of the pictures, as they lie on disk."""
    lines = [json.loads(line) for line in (run / "features" / "parts.jsonl").read_text().splitlines()]
    arrays = [np.load(run / "features" / line["part"]) for line in lines]
    return np.concatenate(arrays), [index for line in lines for index in line["pictures"]]


def by_scikit_learn(features, labels, penalty):
    """The same minimum, found by somebody else: every view a row that counts for its share of the picture."""
    rows, views = features.reshape(-1, features.shape[-1]), features.shape[1]
    model = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=5000)
    pipeline = make_pipeline(StandardScaler(), model)
    share = np.full(len(rows), 1 / views)
    return pipeline.fit(rows, np.repeat(labels, views), logisticregression__sample_weight=share)


def test_the_model_says_what_scikit_learns_head_says_of_the_same_features(finished, pictures, trunk):
    recipe = frozen(trunk)
    examples = material(pictures, recipe).train
    features, indices = read(finished)
    penalty = mldfr.load(finished, device="cpu").card.training["cross_validation"]["penalty"]
    theirs = by_scikit_learn(features, [examples[index].labels[0] for index in indices], penalty)
    expected = theirs.predict_proba(features[:, 0])
    localizer = mldfr.load(finished, device="cpu")
    for index, row in list(zip(indices, expected, strict=True))[::5]:
        located = localizer.locate(examples[index].path, scales=(1,))
        assert located.probabilities == pytest.approx(row, abs=2e-3)


def test_a_mirrored_view_is_the_view_of_the_mirrored_picture(photo, trunk):
    network = LocalizationNetwork.load(trunk)
    image = tensor(photo)
    plain, mirrored = mean_features(network, image, views_of([1], flip=True))
    ((turned),) = mean_features(network, image.flip(-1), [View(1, mirrored=False)])
    assert torch.allclose(mirrored, turned, rtol=0.05, atol=0.02 * turned.abs().max())  # resizing rounds to 8 bits
    assert (plain - turned).abs().max() > 5 * (mirrored - turned).abs().max()


def test_views_are_in_their_order_whatever_the_scales(photo, trunk):
    network = LocalizationNetwork.load(trunk)
    views = [View(1.5, mirrored=True), View(1, mirrored=False), View(1.5, mirrored=False)]
    together = mean_features(network, tensor(photo), views)
    alone = torch.cat([mean_features(network, tensor(photo), [view]) for view in views])
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_several_classes_are_learned_one_against_the_rest():
    values = np.random.default_rng(0)
    features = values.normal(1, 2, (60, 2, 12)).astype(np.float32)
    targets = torch.from_numpy((features.mean(1)[:, :3] + values.normal(0, 1, (60, 3)) > 1).astype(np.uint8))
    problem = Problem([Loaded(range(60), features)], targets, num_classes=3)
    head = problem.head(problem.minimum(0.5))
    ours = torch.sigmoid(torch.from_numpy(features[:, 0]) @ head.weight.T + head.bias).numpy()
    rows = features.reshape(120, 12)
    one = LogisticRegression(C=2 / 0.5 / 2 / 2, tol=1e-8, max_iter=5000)  # two rows, each of half the weight
    theirs = OneVsRestClassifier(one).fit(StandardScaler().fit_transform(rows), targets.numpy().repeat(2, axis=0))
    scaled = StandardScaler().fit(rows).transform(features[:, 0])
    assert ours == pytest.approx(theirs.predict_proba(scaled), abs=1e-3)


def test_features_that_stay_on_disk_give_the_same_head(monkeypatch):
    values = np.random.default_rng(0)
    features, labels = values.normal(0, 1, (40, 1, 8)).astype(np.float32), torch.from_numpy(values.integers(0, 3, 40))
    order = values.permutation(40)
    parts = [Loaded(order[start : start + 7].tolist(), features[order[start : start + 7]]) for start in range(0, 40, 7)]
    whole = Problem([Loaded(range(40), features)], labels, num_classes=3)
    monkeypatch.setattr(linear_head, "IN_MEMORY", 100)
    cut = Problem(parts, labels, num_classes=3)
    assert len(cut.parts) == 6
    assert cut.minimum(1.0) == pytest.approx(whole.minimum(1.0), abs=1e-4)


def test_cross_validation_predicts_every_picture_once_by_the_others(monkeypatch):
    """A feature that names the picture, and nothing else, is of no use for one that was left out."""
    labels = torch.arange(30) % 3
    problem = Problem([Loaded(range(30), np.eye(30, dtype=np.float32)[:, None])], labels, num_classes=3)
    tried = cross_validate(problem, folds=5)
    assert [each.penalty for each in tried] == list(linear_head.PENALTIES[: len(tried)])
    assert all(each.top1 <= 0.4 and each.loss > 0.9 for each in tried)
    shown = Problem([Loaded(range(30), np.eye(3, dtype=np.float32)[labels][:, None])], labels, num_classes=3)
    assert cross_validate(shown, folds=5)[-1].top1 == pytest.approx(1)
    monkeypatch.setattr(linear_head, "CROSS_VALIDATED", 12)
    assert cross_validate(shown, folds=5)[-1].top1 == pytest.approx(1)
    assert cross_validate(shown, folds=99)[-1].top1 == pytest.approx(1)


def test_a_run_folder_is_as_others_are(finished, pictures):
    (row,) = csv.DictReader((finished / "metrics.csv").open())
    assert float(row["loss"]) > 0
    assert 0.3 < float(row["top1"]) <= 1
    assert {"recipe.yaml", "run.json", "split.json", "metrics.csv", "tensorboard", "features"} <= {
        path.name for path in finished.iterdir()
    }
    held_out = mldfr.load(finished, device="cpu").card.training["held_out"]
    assert held_out["pictures"] == held_out["held_out"] == 3
    assert load_recipe(finished / "recipe.yaml").probe.when == "only"


def test_what_a_linear_head_does_not_look_at_is_told_and_keeps_no_run_from_going_on(finished, pictures, trunk):
    class Told(Progress):
        def __init__(self):
            self.warnings = []

        def warn(self, text):
            self.warnings.append(text)

    told, asked = Told(), {"recipe": finished / "recipe.yaml", "settings": {"training.epochs": 9, "probe.flip": True}}
    mldfr.train(f"folder:{pictures}", finished, **asked, resume=True, device="cpu", compare=False, progress=told)
    assert [text for text in told.warnings if "changes nothing" in text] == [
        "training.epochs changes nothing: the recipe trains a linear head alone (probe.when only)"
    ]


def test_only_the_head_is_learned(finished, trunk):
    before, after = LocalizationNetwork.load(trunk).state_dict(), weights(finished)
    assert [key for key, value in before.items() if not key.startswith("head.") and not value.equal(after[key])] == []
    assert {key.split(".")[0] for key in after.keys() - before.keys()} <= {"fitted_maps", "head"}
    assert after["head.weight"].shape == (3, 1280, 1, 1)
    assert after["head.bias"].shape == (3,)


def test_killed_and_resumed_it_ends_with_the_same_weights(finished, pictures, trunk, tmp_path, monkeypatch):
    settings = [part for setting in SMALL for part in ("--set", setting)]
    process = Program(
        *("train", "--data", f"folder:{pictures}", "--out", tmp_path / "run", "--recipe", "frozen", "--weights", trunk),
        *("--device", "cpu", "--resume", *settings),
        patched={"mldfr.training.prepared_features.PICTURES": 4, **small_sides(*SIDES)},
    )
    parts = tmp_path / "run" / "features" / "parts.jsonl"
    while process.poll() is None and not (parts.is_file() and parts.read_bytes().count(b"\n")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    known = parts.read_bytes()
    assert not (tmp_path / "run" / "model.safetensors").exists()
    monkeypatch.setattr(prepared_features, "PICTURES", 4)
    recipe = frozen(trunk)
    fit(recipe, material(pictures, recipe), tmp_path / "run", source=f"folder:{pictures}", device="cpu", resume=True)
    assert parts.read_bytes().startswith(known[: known.rfind(b"\n") + 1])
    ours, theirs = weights(tmp_path / "run"), weights(finished)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_a_finished_run_is_not_fitted_again(finished, pictures, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(run / "features")
    result = CliRunner().invoke(app, ["train", "--resume", "--out", str(run), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert not (run / "features").exists()
    assert "of 3 pictures that were held out of training" in result.output


def test_another_run_may_begin_with_the_trunk_of_a_finished_one(finished, pictures):
    """Whose map was fitted for the pictures of that one, and does not come along."""
    before = weights(finished)
    assert any(key.startswith("fitted_maps.") for key in before)
    recipe = frozen(finished)
    network = create_network(recipe, material(pictures, recipe))
    trunk = {key: value for key, value in network.state_dict().items() if not key.startswith("head.")}
    assert trunk
    assert all(torch.equal(value, before[key]) for key, value in trunk.items())


def test_what_train_says_at_its_end(pictures, trunk, tmp_path):
    trained = mldfr.train(
        f"folder:{pictures}", tmp_path / "run", recipe="frozen", settings=SMALL, weights=str(trunk), device="cpu"
    )
    (epoch,) = trained.epochs
    assert epoch.epoch == 1
    model = mldfr.load(trained.folder, device="cpu")
    held_out = json.loads((trained.folder / "split.json").read_text())["held_out"]
    right = sum(model.locate(pictures / name).labels[0].class_name == name.partition("/")[0] for name in held_out)
    assert (trained.held_out.right, trained.held_out.pictures) == (right, 3)
    assert trained.held_out.sentence.startswith(f"In {right} of 3 pictures")


def test_held_out_pictures_are_classified_as_the_model_classifies(pictures):
    model, said = mldfr.load("imagenet", device="cpu"), {}
    small = model.card.preprocessing.model_copy(update={"input_size": 64})
    settings = {"preprocessing": small, "localization": model.card.localization.changed(scales=(1, 2.0))}
    paths = sorted(pictures.rglob("*.png"))[::3]
    for when in ("all_scales", "scale_1"):
        model.card = model.card.model_copy(update=settings | {"classified_at": when})
        said[when] = [int(np.argmax(model.locate(path).probabilities)) for path in paths]
        samples = [Sample("", path, (label,)) for path, label in zip(paths, said[when], strict=True)]
        assert held_out_accuracy(model.network, samples).right == len(paths)
    assert said["all_scales"] != said["scale_1"]


def test_boxes_are_compared_once_and_only_if_that_is_wanted(pictures, trunk, tmp_path, monkeypatch):
    monkeypatch.setattr("mldfr.evaluation.held_out_boxes.FEWEST", 2)
    monkeypatch.setattr("mldfr.evaluation.held_out_boxes.FITTED_ON", 4)
    asked = {"recipe": "frozen", "settings": SMALL, "weights": str(trunk), "device": "cpu"}
    trained = mldfr.train(f"folder:{pictures}", tmp_path / "run", **asked, compare=False)
    assert trained.boxes is None
    assert not (tmp_path / "run" / "held_out.json").exists()
    result = CliRunner().invoke(app, ["train", "--resume", "--out", str(tmp_path / "run"), "--device", "cpu"])
    assert "whether boxes agree that are drawn at two sizes of a picture. In 3 pictures they do by" in result.output
    written = json.loads((tmp_path / "run" / "held_out.json").read_text())
    assert (written["criterion"], written["pictures"], written["fitted_on"]) == ("repeated_boxes", 3, 4)
    monkeypatch.setattr("mldfr.evaluation.held_out_boxes.held_out_boxes", None)  # it is not asked again
    assert mldfr.train(None, tmp_path / "run", resume=True, device="cpu").boxes == HeldOutBoxes(**written)
    page = mldfr.report(tmp_path / "run", tmp_path / "page.html").page.read_text()
    assert "drawn at two sizes of a picture. In 3 pictures they do by" in page


def test_pictures_that_cannot_be_read_are_named_and_left_out(pictures, trunk, tmp_path, capfd):
    broken = shutil.copytree(pictures, tmp_path / "pictures")
    (broken / "green" / "3.png").write_bytes(b"nothing")
    recipe = frozen(trunk, "data.held_out=0")
    network = fit(recipe, material(broken, recipe), tmp_path / "run", device="cpu")
    assert "held_out" not in network.card.training
    assert capfd.readouterr().err.count("green/3.png") == 1
    assert (tmp_path / "run" / "unreadable.txt").read_text().count("green/3.png") == 1
    assert len(read(tmp_path / "run")[1]) == 26


def test_a_head_is_not_fitted_on_one_picture(pictures, trunk, tmp_path):
    for number, name in enumerate(("blue", "green")):
        (tmp_path / "two" / name).mkdir(parents=True)
        shutil.copy(pictures / name / "1.png", tmp_path / "two" / name / f"{number}.png")
    (tmp_path / "two" / "green" / "1.png").write_bytes(b"nothing")
    recipe = frozen(trunk, "data.held_out=0")
    with pytest.raises(TrainingError, match="needs at least two pictures that can be read; there are 1"):
        fit(recipe, material(tmp_path / "two", recipe), tmp_path / "run", device="cpu")


def test_a_network_may_be_trained_on_from_a_fitted_head(finished, pictures, trunk, tmp_path):
    settings = ("probe.when=first", "probe.foreground=false", "training.epochs=1", "training.lr=1e-9")
    recipe = frozen(trunk, *settings, "training.batch_size=8")
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    assert torch.allclose(weights(tmp_path / "run")["head.weight"], weights(finished)["head.weight"], atol=1e-4)


@pytest.mark.parametrize("when", ["first", "only"])
def test_the_folds_are_cut_by_the_seed_of_the_training(pictures, trunk, tmp_path, monkeypatch, when):
    def refuse(problem, *, folds, seed):
        raise ValueError(f"folds by seed {seed}")

    monkeypatch.setattr("mldfr.training.probe.cross_validate", refuse)
    recipe = frozen(trunk, f"probe.when={when}", "probe.foreground=false", "training.seed=5")
    with pytest.raises(ValueError, match="folds by seed 5"):
        fit(recipe, material(pictures, recipe), tmp_path / when, device="cpu")


def test_what_the_head_pools_is_what_it_is_fitted_on(pictures, trunk, tmp_path):
    recipe = frozen(trunk, "method=foreground", "method_options.threshold=0.4")
    network = fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    (features, indices), examples = read(tmp_path / "run"), material(pictures, recipe).train
    model = mldfr.load(tmp_path / "run", device="cpu")
    for row, index in list(zip(features, indices, strict=True))[::7]:
        logits = network.head.weight.detach().flatten(1) @ torch.from_numpy(row[0]) + network.head.bias.detach()
        found = model.locate(examples[index].path, scales=(1,)).probabilities
        assert found == pytest.approx(logits.softmax(0).numpy(), abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["probe.when=only"], "set model.classifier_bias=true"),
        (["probe.when=only", "model.classifier_bias=true", "method=has"], "has no use for the method 'has'"),
        (["probe.scales=[1.5]"], r"expected 1 and then other scales, each once; got \[1.5\]"),
        (["probe.foreground=true", "probe.when=first"], "fitted where when is only; set foreground=false for first"),
        (["probe.foreground=true"], "set foreground=false for never"),
        (["probe.scales=[1, 0.25]", "augmentation.input_size=96"], "probe.scales: at scale 0.25"),
    ],
)
def test_recipes_that_cannot_be_followed_are_refused(settings, says):
    with pytest.raises(RecipeError, match=says):
        load_recipe("finetune", settings)


@pytest.mark.parametrize("when", ["first", "only"])
def test_a_method_without_a_linear_head_leaves_no_run(pictures, trunk, tmp_path, when):
    recipe = frozen(trunk, "method=sp", f"probe.when={when}", "probe.foreground=false")
    with pytest.raises(SettingError, match="SoftProposalHead is no linear layer on pooled features"):
        fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_one_process_does_all_of_it(pictures, trunk, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    recipe = frozen(trunk)
    with pytest.raises(RecipeError, match="2 were started"):
        fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")


def test_another_recipe_is_not_mixed_into_a_run(finished, pictures, trunk):
    recipe = frozen(trunk, "probe.flip=false")
    with pytest.raises(RunError, match=r"probe\.flip \(True, False\)"):
        fit(recipe, material(pictures, recipe), finished, device="cpu", resume=True)


def test_the_plan_tells_the_room_that_the_features_take(pictures, trunk, tmp_path):
    recipe = frozen(trunk)
    plan = make_plan(recipe, material(pictures, recipe), device="cpu")
    text = plan.to_text()
    assert plan.images_per_second > 0
    assert "a linear head on features of 24 pictures, 2 views each" in text
    assert "0.2 MiB" in text


def test_trunks_of_timm_have_their_own_number_of_channels(pictures, tmp_path):
    settings = ["model.backbone=timm:resnet18", "model.weights=null", "augmentation.input_size=64"]
    recipe = load_recipe("frozen", settings)
    fit(recipe, material(pictures, recipe), tmp_path / "run", device="cpu")
    assert read(tmp_path / "run")[0].shape == (24, 2, 512)
    assert weights(tmp_path / "run")["head.weight"].shape == (3, 512, 1, 1)


def test_several_labels_are_learned_from_a_table(pictures, trunk, tmp_path):
    lines = ["path,label,split"]
    for name, number in itertools.product(("blue", "green", "red"), range(6)):
        lines.append(f"{pictures}/{name}/{number}.png,{name};{'even' if number % 2 else 'odd'},train")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    recipe = frozen(trunk)
    network = fit(recipe, prepare(open_data(f"csv:{tmp_path / 'table.csv'}"), recipe), tmp_path / "run", device="cpu")
    assert network.card.multi_label
    assert network.head.weight.shape[0] == 5
