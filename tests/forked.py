"""The program in processes of its own, forked from one that has imported what it needs.

What is killed, stopped or run beside others must be a process, but need not spend seconds on importing PyTorch again.
What a process is like that begins with nothing, `cli/test_cli.py` and `cli/test_console.py` look at.
"""

import multiprocessing
import os
import pkgutil
import signal
import sys
import tracemalloc
from pathlib import Path
from tempfile import NamedTemporaryFile

import torch

from mldfr.core import registry

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
PROCESSES = multiprocessing.get_context(METHOD)
if METHOD == "forkserver":
    PROCESSES.set_forkserver_preload(
        [
            *("torchvision.transforms.v2", "timm", "lightning.fabric", "mldfr.cli.main", "mldfr.localizer.localizer"),
            *("mldfr.deployment.loading", "mldfr.training.fit", "mldfr.annotation.run", "mldfr.evaluation.run"),
            *("mldfr.api.locating", "mldfr.api.training", "mldfr.api.annotating", "mldfr.api.evaluating"),
        ]
    )


class Program:
    """`mldfr ARGUMENTS` in a process that has begun; it is asked as a `subprocess.Popen` is.

    Args:
        arguments: Of the command line.
        environment: Variables beside those of this process.
        cwd: The folder in which it runs; None for this process's own.
        path: Folders where it looks for modules first.
        patched: Values by the dotted name of the attribute that is given them before the program begins.
    """

    def __init__(self, *arguments, environment=None, cwd=None, path=(), patched=None):
        self._out, self._err = NamedTemporaryFile(), NamedTemporaryFile()  # noqa: SIM115
        told = {
            "arguments": [os.fspath(part) if isinstance(part, Path) else str(part) for part in arguments],
            "environment": {**os.environ, **(environment or {})},
            # To the last bit results are the same with the same number of threads.
            "threads": int((environment or {}).get("OMP_NUM_THREADS", torch.get_num_threads())),
            "cwd": os.fspath(cwd or Path.cwd()),
            "path": [str(folder) for folder in path],
            "patched": patched or {},
            "files": (self._out.name, self._err.name),
        }
        self._process = PROCESSES.Process(target=_run, kwargs=told)
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        return self._process.exitcode

    @property
    def returncode(self):
        return self._process.exitcode

    def wait(self, timeout=300):
        self._process.join(timeout)
        assert self.returncode is not None, f"still runs after {timeout} s\n{self.stderr}"
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    @property
    def stdout(self):
        """What it has written so far."""
        return Path(self._out.name).read_text(encoding="utf-8")

    @property
    def stderr(self):
        return Path(self._err.name).read_text(encoding="utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        if raised[0] is not None:  # nobody waits for what goes on
            self.send_signal(signal.SIGKILL)
        self.wait()


def finished(*arguments, **options):
    """The program when it has ended."""
    with Program(*arguments, **options) as program:
        return program


def peak_of_memory(function, *arguments):
    """The bytes that Python held at most within a call, in a process where no thread of another test is at work."""
    receiver, sender = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_trace, args=(sender, function, *arguments))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    finally:
        process.join()


def _trace(sender, function, *arguments):
    tracemalloc.start()
    function(*arguments)
    sender.send(tracemalloc.get_traced_memory()[1])


def _run(arguments, environment, threads, cwd, path, patched, files):
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[:0] = path
    registry._entry_points.cache_clear()
    for number, name in enumerate(files, start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    torch.set_num_threads(threads)
    for name, value in patched.items():
        place, _, attribute = name.rpartition(".")
        setattr(pkgutil.resolve_name(place), attribute, value)
    from mldfr.cli.entry import main

    sys.argv = ["mldfr", *arguments]
    main()
