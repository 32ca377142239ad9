"""`mldfr merge`: what was done in parts, put together."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.core.errors import SettingError

if TYPE_CHECKING:
    from mldfr.api import Annotations


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="What `--shard` wrote.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the whole goes.")],
    formats: Annotated[
        str | None, typer.Option("--format", metavar="FORMAT,...", help="Of annotations, as `mldfr annotate` has it.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Of annotations: the share of train, as `mldfr annotate` has it."),
    ] = None,
) -> None:
    """Join the parts of `mldfr annotate`, `locate` or `evaluate --shard`: what comes out is that of one run.

    Of an evaluation the same command without --shard, and with this --out, then has all records and measures.
    """
    from mldfr import api

    if formats is not None:
        say_annotations(api.merge(folders, out, format=formats, split=split))
        return
    if split is not None:
        raise SettingError("--split goes with --format: annotations are told apart when they are written")
    joined = api.join(folders, out)
    then = "; the same `mldfr evaluate` without --shard measures them" if joined.verb == "evaluate" else ""
    typer.echo(f"{joined.pictures:,} pictures of {len(folders)} folders: {joined.file}{then}", err=True)
    for name, why in joined.without.items():
        typer.echo(f"{name}: {why}", err=True)
    if joined.without:
        raise typer.Exit(1)


def say_part(part: str, out: Path, *options: str) -> None:
    """Say that a part is done, and how the parts are put together."""
    command = shlex.join(["mldfr", "merge", str(out), *options, "--out", str(out)])
    typer.echo(f"part {part} is done; when all are, name every folder that has parts: {command}", err=True)


def say_annotations(annotations: "Annotations") -> None:
    """Say what was written, and what was not; the exit code is 1 then."""
    for place in annotations.kept:
        typer.echo(f"{place} is there, and stays as it is", err=True)
    names = ", ".join(str(file) for file in annotations.files)
    typer.echo(f"{annotations.boxes:,} boxes in {annotations.pictures:,} pictures: {names}", err=True)
    correct = shlex.join(["mldfr", "serve", str(annotations.out)])
    typer.echo(f"look: {annotations.out / 'index.html'}; correct: {correct}", err=True)
    if failed := annotations.failed:
        pictures = "picture" if failed == 1 else "pictures"
        typer.echo(f"{failed} {pictures} failed, see {annotations.out / 'failed.csv'}", err=True)
    for problem in annotations.problems:
        typer.echo(f"mldfr: {problem}", err=True)
    if failed or annotations.problems:
        raise typer.Exit(1)
