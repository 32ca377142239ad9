import pytest
import yaml

from mldfr.core.errors import SettingError
from mldfr.core.yaml_text import as_told
from mldfr.networks.backbones import BACKBONES
from mldfr.training.recipe import RecipeError, differences, load_recipe, names, parse

PAPER = ("vgg16", "googlenet", "inception_v3", "resnet50", "resnet50x", "densenet161", "mobilenet_v2")


def test_there_is_a_recipe_for_every_cell_of_the_paper_and_four_more():
    expected = {f"{backbone}-{data}" for backbone in PAPER for data in ("cub", "ilsvrc", "voc2007")}
    assert set(names()) == expected | {"finetune", "frozen", "creatures", "wsolevaluation"}


@pytest.mark.parametrize("name", [f"{backbone}-{data}" for backbone in PAPER for data in ("cub", "ilsvrc", "voc2007")])
def test_the_papers_recipes_say_what_the_paper_says(name):
    backbone, data = name.split("-")
    recipe = load_recipe(name)
    training, augmentation = recipe.training, recipe.augmentation
    assert (training.lr, training.momentum, training.weight_decay) == (0.03, 0.9, 1e-4)
    assert (training.schedule, training.patience, training.factor, training.epochs) == ("plateau", 3, 0.1, 50)
    assert training.batch_size == (128 if backbone == "densenet161" else 256)
    assert (augmentation.crop_scale, augmentation.crop_ratio, augmentation.multi_scale) == (
        (0.8, 1),
        (0.75, 1.33),
        True,
    )
    assert recipe.data.held_out == 0.1
    assert recipe.model.backbone == backbone
    assert recipe.model.recalibration == "self_attention"
    assert recipe.model.recalibration_options == {}
    assert recipe.model.last_downsampling in (None, "transition")
    assert BACKBONES[backbone].last_downsampling == "transition"
    assert recipe.localization.scales == ((0.5, 1, 1.5, 2, 2.5) if data == "voc2007" else (1, 1.5, 2))
    assert recipe.localization.threshold == 0.2
    assert recipe.data.split == ("trainval" if data == "voc2007" else None)


def test_wsolevaluations_recipe_says_what_its_code_has_by_default_for_every_peer():
    for settings in ([], ["model.backbone=vgg16", "method=acol"], ["model.backbone=inception_v3", "method=spg"]):
        recipe = load_recipe("wsolevaluation", settings)
        training, model = recipe.training, recipe.model
        assert (training.epochs, training.batch_size, training.lr, training.new_layers) == (40, 64, 0.01, 10)
        assert (training.momentum, training.nesterov, training.weight_decay) == (0.9, True, 1e-4)
        assert (training.schedule, training.step_epochs, training.factor) == ("step", 30, 0.1)
        assert (model.last_downsampling, model.recalibration, model.classifier_bias) == ("wsolevaluation", "none", True)
        assert recipe.augmentation.crop_scale == ((224 / 256) ** 2,) * 2
        assert recipe.augmentation.input_size == 224


@pytest.mark.parametrize("name", names())
def test_a_printed_recipe_gives_the_same_recipe(name, tmp_path):
    recipe = load_recipe(name)
    file = tmp_path / "recipe.yaml"
    file.write_text(recipe.to_yaml())
    assert load_recipe(file) == recipe
    assert parse(yaml.safe_load(recipe.to_yaml()), "text") == recipe


def test_scales_and_input_size_belong_together():
    with pytest.raises(RecipeError, match=r"at scale 0.5 of augmentation.input_size 96 the short side has under 64"):
        load_recipe("vgg16-voc2007", ["augmentation.input_size=96"])


def test_settings_and_weights_go_over_the_recipe():
    settings = ["training.epochs=3", "model.recalibration_options={gate: identity}", "localization.scales=[1, 2]"]
    recipe = load_recipe("vgg16-cub", settings, weights="some.pth")
    assert recipe.training.epochs == 3
    assert recipe.model.recalibration_options == {"gate": "identity"}
    assert recipe.localization.scales == (1, 2)
    assert recipe.model.weights == "some.pth"
    assert load_recipe("vgg16-cub", ["training.weight_decay=1e-3"]).training.weight_decay == 1e-3
    assert load_recipe("vgg16-cub", ["model.weights=null"]).model.weights is None


@pytest.mark.parametrize("value", ["1e-05", "1e-3", "+1E3", ".5e1", "-2.e-1", "1.5e+2"])
def test_numbers_are_those_of_json_and_python(value, tmp_path):
    settings = ["model.recalibration=none", f"model.recalibration_options.a={value}"]
    assert load_recipe("finetune", settings).model.recalibration_options == {"a": float(value)}
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"extends: finetune\nmodel: {{recalibration: none, recalibration_options: {{a: {value}, b: '{value}'}}}}\n"
    )
    recipe = load_recipe(file)
    assert recipe.model.recalibration_options == {"a": float(value), "b": value}
    file.write_text(recipe.to_yaml())
    assert load_recipe(file) == recipe


def test_settings_from_python_come_as_they_are():
    options = {"share": 1e-05, "name": "\U0001f426 é", "text": "1e5", "none": None, "list": [1e22, True, 3]}
    recipe = load_recipe(
        "finetune",
        as_told(
            {
                "model.recalibration": "none",
                "model.recalibration_options": options,
                "data.classes": ["1e5", "2020-01-01"],
            }
        ),
    )
    assert recipe.model.recalibration_options == options
    assert recipe.data.classes == ("1e5", "2020-01-01")


@pytest.mark.parametrize("probe", ["never", "only"])
def test_options_that_a_method_does_not_have_are_refused(probe):
    more = ["model.classifier_bias=true", f"probe.when={probe}"]
    with pytest.raises(SettingError, match="method_options of cam: unknown rate; it has none"):
        load_recipe("finetune", ["method_options.rate=0.2", *more])
    assert load_recipe("finetune", ["method=has", "method_options.rate=0.2"]).method_options == {"rate": 0.2}


def test_another_recalibration_has_its_own_options():
    assert load_recipe("finetune").model.recalibration_options["gate"] == "identity"
    assert load_recipe("finetune", ["model.recalibration=none"]).model.recalibration_options == {}
    changed = load_recipe("finetune", ["model.recalibration_options.gate=sigmoid"])
    assert changed.model.recalibration_options == {
        **load_recipe("finetune").model.recalibration_options,
        "gate": "sigmoid",
    }
    both = ["model.recalibration_options={reduction: 8}", "model.recalibration=squeeze_excitation"]
    assert load_recipe("finetune", both).model.recalibration_options == {"reduction": 8}


def test_a_file_extends_recipes_of_the_package(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("extends: [finetune]\ntraining: {epochs: 2}\n")
    mine, base = load_recipe(file), load_recipe("finetune")
    assert mine.training.epochs == 2
    assert mine.training.lr == base.training.lr
    assert differences(base, mine) == [f"training.epochs ({base.training.epochs}, 2)"]


def test_a_file_extends_files_beside_it(tmp_path, monkeypatch):
    (tmp_path / "mine" / "more").mkdir(parents=True)
    (tmp_path / "mine" / "base.yaml").write_text("extends: finetune\ntraining: {epochs: 2, lr: 0.5}\n")
    (tmp_path / "mine" / "more" / "own.yaml").write_text("extends: ../base.yaml\ntraining: {epochs: 3}\n")
    (tmp_path / "base.yaml").write_text("extends: {}\n")
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe("mine/more/own.yaml")
    assert (recipe.training.epochs, recipe.training.lr) == (3, 0.5)
    (tmp_path / "mine" / "base.yaml").write_text("extends: more/own.yaml\n")
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe("mine/more/own.yaml")


def test_extends_may_be_empty(tmp_path):
    file = tmp_path / "whole.yaml"
    file.write_text("extends:\n" + load_recipe("finetune").to_yaml())
    assert load_recipe(file) == load_recipe("finetune")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("trainig.epochs=1", "unknown key 'trainig' (did you mean 'training'?); known: model, method, method_options,"),
        ("training.epoch=1", "unknown key 'training.epoch' (did you mean 'epochs'?); known: epochs, batch_size"),
        ("training.epochs=0", "training.epochs: Input should be greater than or equal to 1; got 0"),
        ("training.epochs=few", "training.epochs: Input should be a valid integer"),
        ("training.schedule=steps", "'plateau', 'step', 'cosine' or 'constant'; got 'steps'"),
        ("training.new_layers=0", "training.new_layers: Input should be greater than 0; got 0"),
        ("training.new_layers=.inf", "training.new_layers: Input should be a finite number; got inf"),
        ("training.step_epochs=0", "training.step_epochs: Input should be greater than or equal to 1; got 0"),
        ("training.lr=.nan", "training.lr"),
        ("training={nesterov: true, momentum: 0}", "training: nesterov wants a momentum over 0"),
        ("training.accumulate=3", "batch_size 256 cannot be cut into 3 equal parts"),
        ("model.backbone=resnet", "did you mean 'resnet50'?"),
        ("model.recalibration=sa", "unknown recalibration 'sa'"),
        ("model.convolution=batchnorm", "did you mean 'batch_norm'?"),
        ("model.last_downsampling=none", "'transition', 'dilate' or 'wsolevaluation'"),
        ("localization.threshold=1", "less than 1"),
        ("localization.normalizer=minmax", "did you mean 'min_max'?"),
        ("augmentation.crop_scale=[1, 0.5]", "crop_scale is a range from 0 to 1; got [1.0, 0.5]"),
        ("augmentation.crop_ratio=[0, 1]", "crop_ratio is a range over 0"),
        ("augmentation.input_size=63", "augmentation.input_size"),
        ("data.held_out=0.9", "data.held_out: Input should be less than or equal to 0.5; got 0.9"),
        ("training", "a setting is written as a.b=value"),
        ("training..epochs=1", "a setting is written as a.b=value"),
        ("training.epochs=[", "the value is not YAML"),
        ("training=3", "training: Input should be a valid dictionary"),
    ],
)
def test_mistakes_are_answered_with_the_key_and_what_is_allowed(setting, says):
    with pytest.raises(RecipeError) as caught:
        load_recipe("vgg16-cub", [setting])
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a", "expected keys and values; got list"),
        ("a: [", "not YAML"),
        ("extends: nothing", "no recipe or recipe file 'nothing'"),
        ("extends: {file}", "extends itself"),
        ("extends: 3", "no recipe or recipe file '3'"),
        ("training: {{epochs: 1}}", "model: Field required"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, says):
    file = tmp_path / "bad.yaml"
    file.write_text(text.format(file=file))
    with pytest.raises(RecipeError, match=says.replace("[", r"\[")):
        load_recipe(file)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(RecipeError, match=r"did you mean 'vgg16-cub'\?"):
        load_recipe("vg16-cub")
