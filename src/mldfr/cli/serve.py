"""`mldfr serve`: a page on which the boxes of a folder are corrected, or those of a model tried."""

import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mldfr.cli.options import Device, Runtime
from mldfr.core.errors import MissingPackageError, SettingError
from mldfr.core.text import escaped

if TYPE_CHECKING:
    from fastapi import FastAPI

    from mldfr.web.settings import Settings


def serve(
    what: Annotated[
        str | None,
        typer.Argument(metavar="[DIR|MODEL]", help="A folder of `mldfr annotate`, to correct it; or a model."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="A name of `mldfr list models`, a model file, also ONNX, or a run.", show_default="imagenet"),
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    device: Device = "auto",
    runtime: Runtime = None,
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the pictures of a folder to correct are, if moved.")
    ] = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="The largest picture that is taken.")] = 40_000_000,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A further name by which browsers may ask for this server.")
    ] = None,
) -> None:
    """Serve a page on which boxes are corrected: `mldfr serve boxes`, or `mldfr serve imagenet` for any pictures.

    Of a folder that `mldfr annotate` made it shows the pictures, the most doubtful first. What is corrected is on the
    disk at once, in the folder's corrections.jsonl, and counts in all that `mldfr annotate` and `merge` write from
    then on. Of a model: drop pictures in, see classes and boxes, correct and download them; pictures stay in this
    process's memory until they are answered, and nowhere after.

    There is no password: whoever reaches the port may use it.
    """
    _check_extra()
    if what is not None and model is not None:
        raise SettingError(f"{what} and --model {model}: name one of them")
    from mldfr.annotation.reviewing import is_annotated

    chosen = what or model or "imagenet"
    folder = Path(chosen) if what is not None and is_annotated(Path(chosen)) else None
    if folder is None and images is not None:
        raise SettingError(f"--images is for a folder of `mldfr annotate`; {chosen} is none")
    if folder is None and Path(chosen).is_dir():
        _check_model(Path(chosen))
    listening = listen(host, port)
    from mldfr.web.settings import Settings, host_names, is_loopback

    settings = Settings(
        model_name=escaped((folder.resolve() if folder else Path(chosen)).name),  # nobody need know where it lies
        max_pixels=max_pixels,
        host_names=host_names(host, allow_host or []),
        any_address=not is_loopback(host),
    )
    address = _address(host, listening)
    if folder is None:
        _serve_model(chosen, device, runtime, settings, listening, address)
    else:
        _serve_folder(folder, images, settings, listening, address)


def _check_model(folder: Path) -> None:
    """Refuse a folder in which nothing is that can be served, such as one of pictures.

    Raises:
        SettingError: It is such a one.
    """
    from mldfr.jobs.shard import part_files
    from mldfr.localizer.stored_maps import is_map_folder
    from mldfr.networks.model_file import MODEL_FILE
    from mldfr.networks.zoo import MODELS

    known = str(folder) in MODELS or (folder / MODEL_FILE).is_file() or is_map_folder(folder) or part_files(folder)
    if not known:
        raise SettingError(
            f"{folder}: neither a folder of `mldfr annotate` nor one with the model of a training that is done"
        )


def _serve_model(
    model: str, device: str, runtime: str | None, settings: "Settings", listening: socket.socket, address: str
) -> None:
    from mldfr.deployment.loading import load
    from mldfr.localizer.stored_maps import StoredMaps
    from mldfr.web.app import create_app

    localizer = load(model, device=device, runtime=runtime)
    if isinstance(localizer.source, StoredMaps):
        raise SettingError(f"{model}: holds score maps, which know pictures by their files; serve needs a model")
    _run(create_app(localizer, settings), listening, address)


def _serve_folder(
    folder: Path, images: Path | None, settings: "Settings", listening: socket.socket, address: str
) -> None:
    from mldfr.annotation.reviewing import Review
    from mldfr.web.review import create_review_app

    with Review(folder, images=images) as review:
        typer.echo(f"mldfr: {folder}: checked {review.checked:,} of {len(review):,} pictures", err=True)
        _run(create_review_app(review, settings), listening, address)


def _run(app: "FastAPI", listening: socket.socket, address: str) -> None:
    from mldfr.web.server import make_server

    typer.echo(f"mldfr: open {address} in a browser; Ctrl+C ends it", err=True)
    make_server(app).run(sockets=[listening])


def _address(host: str, listening: socket.socket) -> str:
    """Where a browser finds the page; others who may are told of."""
    from mldfr.web.settings import is_loopback

    if not is_loopback(host):
        typer.echo(f"mldfr: listening on {host}: everyone who reaches this machine can use the page", err=True)
    reached = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{reached}]" if ":" in reached else reached
    return f"http://{shown}:{listening.getsockname()[1]}"


def _check_extra() -> None:
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if find_spec(name) is None]
    if missing:
        raise MissingPackageError(f"serve needs {', '.join(missing)}: pip install 'mldfr[web]'")


def listen(host: str, port: int) -> socket.socket:
    """Take the address before the model is loaded: what is wrong with it is said at once.

    Raises:
        SettingError: It is not to be had.
    """
    listening = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()  # at once: until then another server could bind to the same address
    except OSError as error:
        if listening is not None:
            listening.close()
        raise SettingError(f"cannot listen on {host}, port {port} ({error.strerror}); see --host and --port") from error
    return listening
