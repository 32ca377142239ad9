"""The program `mldfr`."""

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mldfr.cli.annotate import annotate
from mldfr.cli.compare import compare
from mldfr.cli.complexity import complexity
from mldfr.cli.console import open_to_all_text
from mldfr.cli.data import data
from mldfr.cli.entry import ending_in_one_line
from mldfr.cli.evaluate import evaluate
from mldfr.cli.export import export
from mldfr.cli.fit import fit
from mldfr.cli.listing import list_names
from mldfr.cli.locate import locate
from mldfr.cli.merge import merge
from mldfr.cli.recipe import recipe
from mldfr.cli.report import report
from mldfr.cli.reproduce import reproduce
from mldfr.cli.select import select
from mldfr.cli.serve import serve
from mldfr.cli.train import train
from mldfr.core.parallel import wait_asleep


class Verbs(TyperGroup):
    """The verbs; whichever is run, what ends it is said in one line, if it is no bug."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        with ending_in_one_line():
            return super().invoke(ctx)


class Program(typer.Typer):
    """The command line, which writes whatever is in a name to whatever console there is."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program."""
        open_to_all_text()
        return super().__call__(*args, **kwargs)


app = Program(
    name="mldfr",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a report of a bug needs the traceback as it is
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Weakly supervised object localization: from image labels to boxes. Verbs take MODEL, then DATA.",
)

BOXES, OWN, MEASURE, ABOUT = "Boxes in pictures", "A model of your own", "How good is it?", "What is there?"

VERBS: tuple[tuple[str, Callable[..., None], str], ...] = (
    (BOXES, locate, "mldfr locate photos --out located"),
    (BOXES, annotate, "mldfr annotate imagenet folder:sorted --format coco --out boxes"),
    (BOXES, serve, "mldfr serve boxes"),
    (BOXES, merge, "mldfr merge part-1 part-2 --format coco --out boxes"),
    (OWN, train, "mldfr train --data folder:sorted --recipe frozen --out runs/mine"),
    (OWN, select, "mldfr select runs/mine --data folder:sorted"),
    (OWN, fit, "mldfr fit imagenet folder:sorted --map foreground --out fitted.safetensors"),
    (OWN, export, "mldfr export runs/mine --out mine.onnx"),
    (OWN, recipe, "mldfr recipe finetune > mine.yaml"),
    (MEASURE, evaluate, "mldfr evaluate runs/mine --data cub:CUB_200_2011 --out evaluated"),
    (MEASURE, compare, "mldfr compare evaluated/metrics.json other/metrics.json"),
    (MEASURE, report, "mldfr report measured/cam measured/mine --out report.html"),
    (MEASURE, reproduce, "mldfr reproduce table-viii --data cub:CUB_200_2011 --out table-viii"),
    (MEASURE, complexity, "mldfr complexity vgg16 --classifier-bias --method acol"),
    (ABOUT, list_names, "mldfr list maps"),
    (ABOUT, data, "mldfr data folder:sorted"),
)
"""Each with the part of the help in which it stands, and an example."""

for _part, _verb, _example in VERBS:
    _name = "list" if _verb is list_names else None
    app.command(name=_name, rich_help_panel=_part, epilog=f"Example: {_example}")(_verb)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mldfr {version('mldfr')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Weakly supervised object localization: from image labels to boxes."""
    wait_asleep()  # before a verb imports PyTorch
