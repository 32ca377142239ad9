"""What an exported file says of itself to those who run it without mldfr."""

from mldfr.boxes.thresholds import threshold_text
from mldfr.deployment.graph import output_names, written
from mldfr.networks.card import Card

TEXT = """\
Says what is in a picture and where: logits, and class activation maps summed over an image pyramid.

Inputs
  image, uint8 (height, width, 3): the picture in RGB, of any size, upright (EXIF orientation applied). Resizing and
    normalising are parts of the graph.
  classes, int64 (k): which classes to map. A class is its index, 0 to {last}, or -r for the r-th most probable, -1 to
    -{count}.

Outputs
  logits, float32 ({count}): of all classes, {classified_at}. {probabilities}
  resolved_classes, int64 (k): the indices of the classes that were mapped.
  score_maps, float32 (k, height, width): their maps, one for each pixel of the picture, any range. Each is the sum of
    its maps ({map}) at the scales {scales}.
  {parts}, float32 (k, h, w): the maps at each of these scales, before they are resized to the picture.

Precision
  {precision}

Boxes
  mldfr brings a score map into [0, 1] by the normalizer {normalizer}, and draws boxes by the rule {box_rule} at the
  threshold {threshold}. The normalizer min_max is (x - min) / (max - min); the rule regions draws a tight box around
  each 8-connected region of what is greater than the threshold. A threshold that is no number looks at the map: mean is
  the mean of the values in [0, 1] over all pixels, otsu parts them as Otsu does, otsu_0.7 is 0.7 times that. Regions
  with less than {min_region:g} of the pixels of the largest have no box.

Metadata
  mldfr, JSON: class_names, in the order of the indices; localization, the settings of boxes; what the network is.
  mldfr_weights_sha256: which weights the network has that it was made from. mldfr_precision: f32 or int8.
"""

PROBABILITIES = {
    True: "The probability of each is the sigmoid of its logit.",
    False: "The probabilities are their softmax.",
}
"""By whether an image may have several classes."""

CLASSIFIED_AT = {"scale_1": "at scale 1", "all_scales": "the mean over the scales"}
"""Where logits come from, by what the card calls it."""

PRECISIONS = {
    "f32": "Everything is computed in float32.",
    "int8": "Convolutions have int8 weights and uint8 inputs, whose ranges were seen on pictures: logits and maps are\n"
    "  near those of the network, not the same.",
}
"""How the numbers of a file are stored, by name."""


def describe(card: Card, *, precision: str = "f32") -> str:
    """The inputs, outputs and metadata of a graph in plain words; the scales of the card are the graph's."""
    settings, count = card.localization, card.architecture.num_classes
    return TEXT.format(
        last=count - 1,
        count=count,
        classified_at=CLASSIFIED_AT[card.classified_at],
        probabilities=PROBABILITIES[card.multi_label],
        map=settings.map,
        scales=", ".join(map(written, settings.scales)),
        precision=PRECISIONS[precision],
        parts=", ".join(output_names(card, settings.scales)[3:]),
        normalizer=settings.normalizer,
        box_rule=settings.box_rule,
        threshold=threshold_text(settings.threshold),
        min_region=settings.min_region,
    )
