"""`mldfr serve`: a page on which boxes are tried and corrected."""

import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mldfr.cli.options import Device, Runtime
from mldfr.core.errors import MissingPackageError, SettingError


def serve(
    model: Annotated[str, typer.Option(help="A name of `mldfr list models`, or a model file, also ONNX.")] = "imagenet",
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    device: Device = "auto",
    runtime: Runtime = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="The largest picture that is taken.")] = 40_000_000,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A further name by which browsers may ask for this server.")
    ] = None,
) -> None:
    """Serve a page: drop pictures in, see classes and boxes, correct them, download annotations.

    Pictures stay in this process's memory until they are answered, and nowhere after. There is no password: whoever
    reaches the port may use it.
    """
    _check_extra()
    listening = listen(host, port)

    from mldfr.deployment.loading import load
    from mldfr.localizer.stored_maps import StoredMaps
    from mldfr.web.app import create_app
    from mldfr.web.server import make_server
    from mldfr.web.settings import Settings, host_names, is_loopback

    localizer = load(model, device=device, runtime=runtime)
    if isinstance(localizer.source, StoredMaps):
        raise SettingError(f"{model}: holds score maps, which know pictures by their files; serve needs a model")
    settings = Settings(
        model_name=Path(model).name,  # the page may be shown to others, who need not know where it lies
        max_pixels=max_pixels,
        host_names=host_names(host, allow_host or []),
        any_address=not is_loopback(host),
    )
    if not is_loopback(host):
        typer.echo(f"mldfr: listening on {host}: everyone who reaches this machine can use the page", err=True)
    reached = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{reached}]" if ":" in reached else reached
    typer.echo(f"mldfr: open http://{shown}:{listening.getsockname()[1]} in a browser; Ctrl+C ends it", err=True)
    make_server(create_app(localizer, settings)).run(sockets=[listening])


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
