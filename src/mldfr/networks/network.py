"""The localization network of Fig. 7: stages, recalibration, Conv-Cls, global average pooling."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from mldfr.core.errors import InputError, SettingError
from mldfr.core.validation_errors import explain
from mldfr.core.versions import installed_versions
from mldfr.maps.base import LAST, PICTURE, ActivationMap, FittedMap, fitted_map, is_fitted, map_kind
from mldfr.methods import DEFAULT as CAM
from mldfr.methods.base import Method, Place, make_method
from mldfr.methods.heads import Head
from mldfr.networks.backbones import BACKBONES
from mldfr.networks.backbones.base import Backbone, LastDownsampling, StateDict, mismatch
from mldfr.networks.card import Architecture, Card, FittedOn, Preprocessing
from mldfr.networks.model_file import checked_card, model_file
from mldfr.networks.places import by_place, check_architecture, check_places, within_stages
from mldfr.networks.planning import planned_convolutions
from mldfr.networks.recalibration import CONVOLUTION, KERNEL_SIZES, POOLING
from mldfr.networks.recalibration.normalization import fold_batch_norms
from mldfr.networks.sharing import twin
from mldfr.networks.weights import WeightsError, is_model, pretrained, read, write


class LocalizationNetwork(nn.Module):
    """A classification network whose class scores are means of maps, so that the maps say where.

    Users have it in a `mldfr.Localizer`, which goes from pictures to boxes.

    Args:
        backbone: Four stages.
        recalibration: Three modules, behind the first three stages.
        head: From features to classes: Conv-Cls, or what else the method has.
        card: What the model says of itself.
        behind_stages: The method's modules, by the place behind which each stands (see `Method.stage_modules`).

    Examples:
        >>> network = LocalizationNetwork.create("mobilenet_v2", num_classes=20).eval()
        >>> logits, score_maps = network(torch.zeros(1, 3, 64, 64))
        >>> tuple(logits.shape), tuple(score_maps.shape)
        ((1, 20), (1, 20, 4, 4))
    """

    def __init__(
        self,
        backbone: Backbone,
        recalibration: Sequence[nn.Module],
        head: Head,
        *,
        card: Card,
        behind_stages: Mapping[int, nn.Module] | Mapping[Place, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.recalibration = nn.ModuleList(recalibration)
        self.head = head
        self.behind_stages = by_place(behind_stages or {})
        channels = self.backbone.channels
        self.fitted_maps = nn.ModuleDict(
            {name: fitted_map(name)(channels, facts.groups) for name, facts in card.fitted_maps.items()}
        )
        self.card = card
        self.taken: frozenset[str] | None = None  # names of what came from a saved model, where it goes on from one

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.parameters()).device

    @property
    def method(self) -> Method:
        """What the card says of how it is trained."""
        return make_method(self.card.method, self.card.method_options)

    def features(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W), sides of at least 64, to features (B, C, H/16, W/16)."""
        return self.features_of_stages(images)[-1]

    def features_of_stages(self, images: Tensor, earlier: Sequence[int] = (), last: int = LAST) -> list[Tensor]:
        """Features after some stages, and those of the last behind them.

        Args:
            images: Normalised, (B, 3, H, W).
            earlier: Which others, of 0 to 2, in their order: at strides 4, 8 and 16; `PICTURE` first, for the images.
            last: Where it ends.
        """
        x, kept = images, [images] if PICTURE in earlier else []
        with planned_convolutions(self, images.device):
            for index in range(last + 1):
                x = self._run_stage(index, x)
                if index in earlier:
                    kept.append(x)
        return [*kept, x]

    def _run_stage(self, index: int, x: Tensor) -> Tensor:
        """A stage of the backbone, and what stands behind it."""
        x = self.backbone.run_stage(index, x, within_stages(self.behind_stages))
        if index < len(self.recalibration):
            x = self.recalibration[index](x)
        return self.behind_stages[str(index)](x) if str(index) in self.behind_stages else x

    def logits_behind(self, stage: int, x: Tensor) -> Tensor:
        """Run on from any stage.

        Args:
            stage: From 0 to 3, or `PICTURE`.
            x: What came out behind it, (B, C', h', w'); normalised images (B, 3, H, W) where it is `PICTURE`.

        Returns:
            Logits (B, K).
        """
        for index in range(stage + 1, LAST + 1):
            x = self._run_stage(index, x)
        return self.logits(x)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images (B, 3, H, W) to logits (B, K) and score maps (B, K, h, w); see `Head`."""
        *earlier, features = self.features_of_stages(images, self.head.maps_from)
        logits, score_maps = self.head(features, *([earlier] if earlier else []))
        return logits, score_maps

    def training_outputs(self, images: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        """Normalised images (B, 3, H, W), and targets that the head may want, to what the method's loss is given."""
        *earlier, features = self.features_of_stages(images, self.head.earlier)
        return self.head.training_outputs(features, targets, *([earlier] if earlier else []))

    def logits(self, features: Tensor) -> Tensor:
        """Features (B, C, h, w) to logits (B, K)."""
        return self.head.logits(features)

    def activation_map(self, name: str) -> ActivationMap:
        """The map of a name; it does not hold the head, which it is handed with the features.

        Raises:
            UnknownNameError: No such map.
            PluginError: What another package has under the name is no class of maps.
            SettingError: One that has to be fitted on pictures first, and was not; or of a stage that the trunk lacks.
        """
        if not is_fitted(name):
            kind = map_kind(name)
            if any(stage != PICTURE and not self.backbone.has_stage(stage) for stage in kind.earlier):
                raise SettingError(f"map {name}: {self.card.architecture.backbone} has no stages but the last, stage3")
            return kind.for_head(self.head)
        if name not in self.fitted_maps:
            raise SettingError(
                f"map {name} has to be fitted on pictures first, and this model was not; `mldfr fit` does it"
            )
        fitted = self.fitted_maps[name]
        assert isinstance(fitted, ActivationMap)
        return fitted

    def take_map(self, name: str, fitted: FittedMap, facts: FittedOn) -> None:
        """Keep a fitted map under its name, in place of one that is there; it is saved with the network.

        Args:
            name: Of `mldfr list maps`.
            fitted: What `FittedMap.fitted` made.
            facts: On what.
        """
        self.fitted_maps[name] = fitted.to(self.device)
        self.card = self.card.model_copy(update={"fitted_maps": {**self.card.fitted_maps, name: facts}})

    def fused(self) -> Self:
        """A copy for inference that computes the same faster: BatchNorms folded away, channels last, eval mode.

        What stays as it is shares its memory with the original, so a copy costs milliseconds; it is meant to be used
        and dropped, not kept while the original is trained.
        """
        with torch.inference_mode(mode=False), torch.no_grad():  # gradients of maps pass through its weights
            copy = twin(self).eval()
            if self.backbone.foldable:
                fold_batch_norms(copy.backbone.trunk)
            for part in copy.backbone.modules():
                if isinstance(part, nn.Conv2d):
                    part.weight = nn.Parameter(part.weight.detach().contiguous(memory_format=torch.channels_last))
        return copy

    @classmethod
    def create(
        cls,
        backbone: str,
        *,
        num_classes: int | None = None,
        class_names: Sequence[str] = (),
        last_downsampling: LastDownsampling | None = None,
        recalibration: str = "self_attention",
        recalibration_options: Mapping[str, Any] | None = None,
        convolution: str | None = None,
        classifier_bias: bool = False,
        weights: str | Path | StateDict | None = None,
        pretrained_classifier: bool = False,
        multi_label: bool = False,
        method: str = CAM,
        method_options: Mapping[str, Any] | None = None,
    ) -> Self:
        """Build a network; every cell of the paper's Tables VIII, IX and XIII is a choice of arguments.

        New convolutions (transition, conv6, recalibration, Conv-Cls) start with Xavier normal weights.

        Args:
            backbone: A name of `mldfr list backbones`, or `timm:` and a name of timm's.
            num_classes: K; may be left out where `class_names` are given, and is 1000 without either.
            class_names: K names; "0", "1", ... when left out.
            last_downsampling: `transition` (the paper), `dilate`, or `wsolevaluation` (its benchmark's trunks: vgg16,
                inception_v3, resnet50); the backbone's own default when left out.
            recalibration: The module behind the downsamplings ("S"), or `none`.
            recalibration_options: Its further arguments, such as `{"gate": "identity"}`.
            convolution: The normalisation behind the convolutions ("B"), or `none`; the backbone's own default
                when left out, which is `batch_norm` but for resnet50x.
            classifier_bias: Whether Conv-Cls has a bias. The paper's has none; Table V counts one.
            weights: ImageNet weights of the trunk: a state dict, `torchvision`, `embedded`, one of torchvision's names,
                a file with torchvision's key names; or a saved model or run folder of the same architecture, of which
                all but Conv-Cls is taken (the paper pretrains its networks on ILSVRC that way). None starts at random.
            pretrained_classifier: Also take Conv-Cls from the classifier in `weights`, with its bias; not from a model.
            multi_label: Whether an image may have several classes.
            method: How it is going to be trained, a name of `mldfr list methods`.
            method_options: The method's own options, such as `{"cell": 32}`.

        Raises:
            ValueError: An unknown name, or numbers that do not belong together.
            WeightsError: Weights that do not exist or do not fit; the message names what differs.
        """
        spec = BACKBONES[backbone]
        if isinstance(class_names, str):
            raise InputError(f"class_names is a list of names; got {class_names!r}")
        if num_classes is None and not class_names:
            num_classes = 1000
        try:
            architecture = Architecture(
                backbone=backbone,
                num_classes=len(class_names) if num_classes is None else num_classes,
                last_downsampling=last_downsampling or spec.last_downsampling,
                recalibration=recalibration,
                recalibration_options=dict(recalibration_options or {}),
                convolution=convolution or spec.variant(last_downsampling).convolution,
                classifier_bias=classifier_bias or pretrained_classifier,
            )
            card = Card(
                architecture=architecture,
                class_names=tuple(class_names) or tuple(map(str, range(architecture.num_classes))),
                preprocessing=Preprocessing(input_size=spec.input_size, mean=spec.mean, std=spec.std),
                multi_label=multi_label,
                method=method,
                method_options=dict(method_options or {}),
            )
        except ValidationError as error:
            raise SettingError(explain(error)) from error
        if isinstance(weights, str | Path) and is_model(model := model_file(weights)):
            if pretrained_classifier:
                raise SettingError(f"{model}: pretrained_classifier must be False, as a model's Conv-Cls is not taken")
            return cls._build(card)._continue_from(model)
        state = pretrained(weights, default=spec.pretrained) if isinstance(weights, str | Path) else weights
        network = cls._build(card, state)
        if pretrained_classifier:
            network._take_classifier(state or {}, spec.classifier)
        return network

    @classmethod
    def _build(cls, card: Card, weights: StateDict | None = None) -> Self:
        """The network that a card describes, its trunk with `weights`."""
        wanted = card.architecture
        spec = BACKBONES[wanted.backbone]
        try:
            backbone = Backbone(spec, last_downsampling=wanted.last_downsampling, weights=weights)
        except InputError as error:
            raise WeightsError(f"the weights do not fit {wanted.backbone}: {error}") from error
        check_architecture(wanted, backbone)
        backbone.normalize(CONVOLUTION[wanted.convolution])
        module, options = POOLING[wanted.recalibration], wanted.recalibration_options
        places = zip(backbone.channels[:3], KERNEL_SIZES, strict=True)
        try:
            modules = [module(channels, kernel_size, **options) for channels, kernel_size in places]
        except (TypeError, ValueError, ArithmeticError) as error:
            if not options:  # nobody's mistake but ours
                raise
            raise SettingError(f"recalibration_options {options} of {wanted.recalibration}: {error}") from error
        method = make_method(card.method, card.method_options)
        head = method.head_on_stages(backbone.channels, wanted.num_classes, bias=wanted.classifier_bias)
        behind = method.stage_modules(backbone.channels)
        check_places((*behind, *head.earlier), backbone)
        return cls(backbone, modules, head, card=card, behind_stages=behind)

    @classmethod
    def from_card(cls, card: Card) -> Self:
        """The network that a card describes, at random."""
        return cls._build(card)

    def _continue_from(self, model: Path) -> Self:
        """Take everything but Conv-Cls from a saved model, and the maps that were fitted for its pictures."""
        tensors, _ = read(model)
        given = {key: value for key, value in tensors.items() if not key.startswith(("head.", "fitted_maps."))}
        own = {
            key: value
            for key, value in self.state_dict().items()
            if not key.startswith("head.") and (key in given or not key.startswith("behind_stages."))
        }
        if difference := mismatch(own, given):
            raise WeightsError(f"{model}: of another architecture: {difference}")
        self.load_state_dict(given, strict=False)
        self.taken = frozenset(given)
        return self

    def _take_classifier(self, state: StateDict, name: str | None) -> None:
        weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
        wanted = (self.card.architecture.num_classes, self.backbone.channels[-1])
        if weight is None or bias is None or weight.shape != wanted:
            found = "none" if weight is None else tuple(weight.shape)
            raise WeightsError(
                f"Conv-Cls of {self.card.architecture.backbone} needs a pretrained classifier of shape "
                f"{wanted} with a bias; the weights have {found}"
            )
        self.head.take_classifier(weight, bias)

    def save(self, path: str | Path) -> None:
        """Write the network and its card into one safetensors file, under its name only when it is whole."""
        versions = installed_versions(("mldfr", "torch", "torchvision", "timm"))
        card = self.card.model_copy(update={"versions": versions})
        write(Path(path), self.state_dict(), card.model_dump_json())

    @classmethod
    def load(cls, path: str | Path, *, device: str | torch.device = "cpu") -> Self:
        """Read what `save` wrote, in eval mode.

        Args:
            path: The file, or a folder with a `model.safetensors`.
            device: Where the network shall be.

        Raises:
            WeightsError: Not a model file, or its tensors do not fit its card; the message names those that differ.
        """
        file = model_file(path)
        tensors, raw_card = read(file)
        card = checked_card(file, raw_card)
        try:
            with torch.device("meta"):  # the shapes alone, so that nothing is filled with random numbers first
                network = cls._build(card)
        except SettingError as error:
            raise WeightsError(f"{file}: its card cannot be followed: {error}") from error
        own = network.state_dict()
        if difference := mismatch(own, tensors):
            raise WeightsError(f"{file}: does not fit its card: {difference}")
        if not own.keys() >= {name for name, _ in network.named_buffers()}:
            network = cls._build(card)  # its buffers that are in no file, such as tables of positions, have to be made
        network.load_state_dict({key: value.to(own[key].dtype) for key, value in tensors.items()}, assign=True)
        return network.requires_grad_(True).to(device).eval()
