"""`mldfr data`: look at a data set before training on it, or make one."""

import json
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.core.errors import SettingError
from mldfr.core.text import one_line, plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mldfr.data import DataSet
    from mldfr.data.survey import Problem, Spread, Survey

CREATURES = "creatures"
SHOWN_PROBLEMS, SHOWN_CLASSES = 20, 40
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
LOOKING, MAKING = ("sheet", "thorough", "as_json"), ("out", "images", "classes", "size", "seed", "co_occurrence")
"""Parameters of the two things that the command does."""

HEADINGS = {
    "missing": "Missing files",
    "unreadable": "Unreadable pictures",
    "leak": "The same picture in several splits",
    "duplicate": "The same picture more than once",
    "size": "Pictures of another size than their annotations say",
    "box": "Boxes without area or outside their image",
    "unlabeled": "Images without a label",
    "class": "Classes without images, or with names much alike",
    "name": "Names that annotation formats do not hold as they are",
    "layout": "Left out when reading",
    "unread": "Files that are not read",
    "junk": "Passed over, left by systems and programs",
}


def data(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="KIND:PATH", help="Such as folder:photos; or creatures, to make some.")
    ],
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the contact sheet goes.", show_default="KIND-sheet.jpg"),
    ] = None,
    thorough: Annotated[bool, typer.Option("--thorough", help="Decode every picture.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every problem.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="creatures: where they go.")] = None,
    images: Annotated[int, typer.Option(min=1, help="creatures: how many pictures.")] = 600,
    classes: Annotated[int, typer.Option(min=1, help="creatures: how many kinds.")] = 4,
    size: Annotated[int, typer.Option(min=32, help="creatures: side of a picture.")] = 256,
    seed: Annotated[int, typer.Option(min=0, help="creatures: another seed, other pictures.")] = 0,
    co_occurrence: Annotated[
        bool, typer.Option("--co-occurrence", help="creatures: each kind before a background of its own.")
    ] = False,
) -> None:
    """Count what is in a data set and say everything that is wrong with it.

    A contact sheet shows what it looks like. The exit code is 1 if pictures are missing or cannot be read.

    `mldfr data creatures --out DIR` writes a data set that is drawn by a program, to try things with.
    """
    _refuse_those_of_the_other(context, source)
    if source == CREATURES:
        if out is None:
            raise SettingError("data creatures needs --out, the folder for the pictures")
        from mldfr.data.synthetic.creatures import write

        write(out, images=images, classes=classes, size=size, seed=seed, co_occurrence=co_occurrence)
        typer.echo(f"{images} pictures of {classes} classes in {out}: mldfr data {CREATURES}:{out}", err=True)
        return
    path = sheet or Path(f"{source.partition(':')[0] if ':' in source else 'folder'}-sheet.jpg")
    if path.suffix.lower() not in PICTURES:
        raise SettingError(f"--sheet {path}: expected a name that ends with {', '.join(PICTURES)}")
    from mldfr.data import open_data

    found = open_data(source)
    _report(found, path, thorough=thorough, as_json=as_json)


def _refuse_those_of_the_other(context: typer.Context, source: str) -> None:
    """Making a data set has options, looking at one has others; none goes unheeded.

    Raises:
        SettingError: One that the source does not take.
    """
    known = LOOKING if source == CREATURES else MAKING
    for name in context.params:
        given = context.get_parameter_source(name)
        if name in known and given is not None and given.name == "COMMANDLINE":
            instead = "; the contact sheet goes to --sheet" if name == "out" else ""
            kind = "looking at a data set" if source == CREATURES else f"data {CREATURES}"
            raise SettingError(f"--{name.removeprefix('as_').replace('_', '-')} is for {kind}{instead}")


def _report(found: "DataSet", sheet: Path, *, thorough: bool, as_json: bool) -> None:
    """Write the sheet, survey and print; exit code 1 if pictures are missing or unreadable."""
    import warnings
    from dataclasses import asdict

    from rich.console import Console

    from mldfr.data.survey import survey

    # Pillow warns of doubtful files without naming them; what matters is a problem of the survey, with the name.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    written = _write_sheet(found, sheet)
    waiting = Console(stderr=True)
    with waiting.status("opening the pictures", spinner="line") if waiting.is_terminal else nullcontext():
        surveyed = survey(found, thorough=thorough)
    if as_json:
        typer.echo(json.dumps(plain({**asdict(surveyed), "sheet": str(sheet) if written else None}), indent=2))
    else:
        _print(Console(), surveyed)
    typer.echo(f"contact sheet: {sheet}" if written else "no contact sheet, for there are no images", err=True)
    if any(problem.kind in ("missing", "unreadable") for problem in surveyed.problems):
        raise typer.Exit(1)


def _write_sheet(found: "DataSet", path: Path) -> bool:
    """Write the contact sheet, if there is anything to show."""
    from mldfr.core.files import replacing
    from mldfr.reports.page.contact_sheet import contact_sheet

    samples = [sample for members in found.splits.values() for sample in members]
    if not samples:
        return False
    picture = contact_sheet(samples, found.classes)
    with replacing(path) as temporary:
        picture.save(temporary, quality=92)
    return True


def _print(console: "Console", surveyed: "Survey") -> None:
    console.print(_splits_table(surveyed))
    used = [name for name in surveyed.classes if any(split.per_class[name] for split in surveyed.splits.values())]
    console.print(_classes_table(surveyed, used[:SHOWN_CLASSES]))
    if len(used) > SHOWN_CLASSES:
        console.print(f"... and {len(used) - SHOWN_CLASSES:,} more classes with images; --json has all")
    if not surveyed.problems:
        console.print("no problems found")
    for kind, heading in HEADINGS.items():
        members = [problem for problem in surveyed.problems if problem.kind == kind]
        if members:
            console.print(f"\n{heading}: {sum(problem.count for problem in members):,}", style="bold", highlight=False)
            for line in _lines(members):
                console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def _lines(problems: "list[Problem]") -> Iterator[str]:
    for problem in problems[:SHOWN_PROBLEMS]:
        yield one_line(f"{problem.where}: {problem.message}" if problem.where else problem.message)
    if len(problems) > SHOWN_PROBLEMS:
        yield f"... and {len(problems) - SHOWN_PROBLEMS:,} more; --json has all"


def _splits_table(surveyed: "Survey") -> "Table":
    """A column for each split, a row for each number."""
    from rich.table import Table
    from rich.text import Text

    splits = surveyed.splits.values()
    table = Table("")
    for name in surveyed.splits:
        table.add_column(Text(name), justify="right")
    table.add_row("images", *(f"{split.images:,}" for split in splits))
    table.add_row("classes with images", *(f"{sum(map(bool, split.per_class.values())):,}" for split in splits))
    most = sorted({count for split in splits for count in split.labels_per_image})
    for count in most:
        label = f"{count} label{'s' if count != 1 else ''}" if count else "no label"
        table.add_row(f"  of them, {label}", *(f"{split.labels_per_image.get(count, 0):,}" for split in splits))
    table.add_row("short side, pixels", *(_spread(split.short_side, "{:.0f}") for split in splits))
    table.add_row("width / height", *(_spread(split.aspect, "{:.2f}") for split in splits))
    if any(split.objects for split in splits):
        table.add_row("boxes", *(f"{split.objects:,}" for split in splits))
        if any(split.difficult for split in splits):
            table.add_row("  of them, difficult", *(f"{split.difficult:,}" for split in splits))
        table.add_row("boxes in an image", *(_spread(split.boxes_per_image, "{:.0f}") for split in splits))
        table.add_row("box / image area", *(_spread(split.box_share, "{:.1%}") for split in splits))
    if any(split.masks for split in splits):
        table.add_row("masks", *(f"{split.masks:,}" for split in splits))
    table.caption = "spreads: minimum, median, maximum"
    return table


def _classes_table(surveyed: "Survey", shown: Sequence[str]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    several = ", several in an image" if surveyed.multi_label else ""
    table = Table(title=f"{len(surveyed.classes):,} classes{several}", title_justify="left")
    table.add_column("class")
    for name in surveyed.splits:
        table.add_column(Text(name), justify="right")
    for name in shown:
        table.add_row(Text(one_line(name)), *(f"{split.per_class[name]:,}" for split in surveyed.splits.values()))
    return table


def _spread(spread: "Spread | None", number: str) -> str:
    return (
        " ".join(number.format(value) for value in (spread.minimum, spread.median, spread.maximum)) if spread else "-"
    )
