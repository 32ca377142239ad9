"""The same work as a Ray Data pipeline, on one machine or a cluster; needs the extra `ray`."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from mldfr.annotation.annotate_image import Work, annotate
from mldfr.annotation.collect import Row
from mldfr.annotation.listing import Item
from mldfr.core.errors import MissingPackageError, SettingError
from mldfr.deployment.loading import load

PICTURES_PER_TASK = 8
"""So few that a lost actor costs little; so many that handing them over costs less than the network."""


class Annotator:
    """An actor that holds the model.

    Args:
        model: What every worker can open: a name, or a path that all machines have.
        device: auto, cpu, cuda, ...
        runtime: What runs an ONNX model.
        work: What is done with each picture.
    """

    def __init__(self, model: str, device: str, runtime: str | None, work: Work) -> None:
        self._localizer = work.localizer(load(model, device=device, runtime=runtime))
        self._work = work

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """Pictures to rows, both as JSON."""
        items = [_item(json.loads(text)) for text in batch["item"]]
        return {"row": [json.dumps(row) for row in annotate(self._localizer, items, self._work)]}


def annotate_on_ray(
    items: Sequence[Item],
    work: Work,
    *,
    model: str,
    device: str,
    runtime: str | None,
    workers: int | None,
    address: str | None,
) -> Iterator[Row]:
    """The row of each picture, as they come: the order is that in which the actors finish.

    On CPUs the rows of a PyTorch model are to the last bit those of one process, where neither has 8 cores or more: a
    pass runs on one thread then (`mldfr.core.parallel`). The last bits of all other sums depend on the number of
    threads; an actor has as many as CPUs, or as `OMP_NUM_THREADS` says.

    Args:
        items: The pictures; their paths, and the model's, must be there on every machine.
        work: What is done with each. Score maps go to `work.out`, which all machines must share.
        model: What `mldfr.load` takes.
        device: auto, cpu, cuda, ...; with an accelerator each actor takes one.
        runtime: What runs an ONNX model (see `mldfr.load`).
        workers: How many actors; None is one for each accelerator, or for each two CPUs where there is none.
        address: Of a cluster that is there; None starts one on this machine.

    Raises:
        SettingError: The extra is not installed, or there is no such cluster.
    """
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingPackageError("--engine ray needs Ray; install it with: pip install 'mldfr[ray]'") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # its progress is told by ours
    if not ray.is_initialized():
        _connect(address)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus = 0 if device == "cpu" else int(resources.get("GPU", 0))
    cpus = resources.get("CPU", 1)
    count = workers or gpus or max(1, int(cpus) // 2)
    there = replace(work, out=work.out.absolute(), root=work.root.absolute())
    pictures = ray.data.from_items([{"item": json.dumps(_plain(item))} for item in items])
    rows = pictures.map_batches(
        Annotator,
        fn_constructor_args=(_absolute(model), device, runtime, there),
        batch_size=max(PICTURES_PER_TASK, work.batch_size),
        compute=ray.data.ActorPoolStrategy(size=count),
        num_gpus=1 if gpus else None,
        num_cpus=None if gpus else _share(cpus, count),
    )
    for row in rows.iter_rows():
        yield json.loads(row["row"])


def _connect(address: str | None) -> None:
    import ray

    try:
        # Without an address Ray would join whatever cluster it finds.
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.WARNING)
    except ConnectionError as error:
        raise SettingError(f"--address {address}: no such cluster ({str(error).splitlines()[0]})") from error


def _absolute(model: str) -> str:
    """A model's file as workers with other working folders find it; a name stays one."""
    return str(Path(model).absolute()) if Path(model).exists() else model


def _share(cpus: float, count: int) -> float:
    """CPUs of one actor; Ray takes whole ones, or a part of one."""
    return float(cpus // count) or cpus / count


def _plain(item: Item) -> dict[str, Any]:
    return asdict(item) | {"path": str(item.path.absolute())}


def _item(plain: dict[str, Any]) -> Item:
    return Item(**plain | {"path": Path(plain["path"]), "labels": tuple(plain["labels"])})
