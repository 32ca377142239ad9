"""What the server does under load: nothing lost, memory flat, and how much it costs beside the bare model.

python benchmarks/serve.py --scales 1
"""

import argparse
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import httpx
import psutil
from PIL import Image

import mldfr
from mldfr.data.synthetic.creatures import draw

SIZES = ((256, 256), (256, 341), (341, 256))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--scales", default="1,1.5,2")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "model.safetensors")
        localizer = mldfr.load("imagenet", device="cpu")
        scales = tuple(float(scale) for scale in options.scales.split(","))
        localization = localizer.card.localization.changed(scales=scales)
        localizer.card = localizer.card.model_copy(update={"localization": localization})
        localizer.save(model)
        pictures = [jpeg(index) for index in range(30)]
        before = bare(localizer, pictures)
        with server(model) as (process, address):
            load = Load(address, pictures, options.requests, process)
            load.run(options.clients)
        after = bare(localizer, pictures)
        report(load, options.clients, [before, after])


def jpeg(index: int) -> bytes:
    """A drawn picture of one of three shapes."""
    file = BytesIO()
    height, width = SIZES[index % len(SIZES)]
    Image.fromarray(draw(index, size=256).pixels).resize((width, height)).save(file, "JPEG", quality=90)
    return file.getvalue()


def bare(localizer: mldfr.Localizer, pictures: list[bytes]) -> tuple[float, float]:
    """Seconds and processor seconds a picture of `locate` alone, decoding included."""
    for picture in pictures[:3]:
        localizer.locate(Image.open(BytesIO(picture)), classes=5)
    start, work = time.perf_counter(), time.process_time()
    for picture in pictures:
        localizer.locate(Image.open(BytesIO(picture)), classes=5)
    return (time.perf_counter() - start) / len(pictures), (time.process_time() - work) / len(pictures)


@contextmanager
def server(model: Path) -> Iterator[tuple[psutil.Process, str]]:
    """`mldfr serve` as a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mldfr", "serve", "--model", str(model), "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(command)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                httpx.get(f"{address}/healthz")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield psutil.Process(process.pid), address
    finally:
        process.terminate()
        process.wait()


@dataclass
class Load:
    """Clients that ask without a pause until all is answered."""

    address: str
    pictures: list[bytes]
    requests: int
    process: psutil.Process
    seconds: list[float] = field(default_factory=list)
    memory: dict[int, float] = field(default_factory=dict)
    busy: int = 0
    lost: int = 0
    wall: float = 0.0
    work: float = 0.0

    def run(self, clients: int) -> None:
        """Ask."""
        self._left = iter(range(self.requests))
        self._lock = threading.Lock()
        threads = [threading.Thread(target=self._client) for _ in range(clients)]
        start, work = time.perf_counter(), self._processor_seconds()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.wall = time.perf_counter() - start
        self.work = self._processor_seconds() - work

    def _processor_seconds(self) -> float:
        times = self.process.cpu_times()
        return times.user + times.system

    def _client(self) -> None:
        with httpx.Client(base_url=self.address, timeout=120) as client:
            while True:
                with self._lock:
                    number = next(self._left, None)
                if number is None:
                    return
                self._ask(client, self.pictures[number % len(self.pictures)])

    def _ask(self, client: httpx.Client, picture: bytes) -> None:
        start = time.perf_counter()
        response = client.post("/api/locate", files={"picture": picture})
        while response.status_code == 429:
            with self._lock:
                self.busy += 1
            time.sleep(float(response.headers["retry-after"]))
            response = client.post("/api/locate", files={"picture": picture})
        with self._lock:
            whole = response.status_code == 200 and len(response.json()["labels"]) == 5
            self.lost += not whole
            self.seconds.append(time.perf_counter() - start)
            if len(self.seconds) % 100 == 0 or len(self.seconds) == 10:
                self.memory[len(self.seconds)] = self.process.memory_info().rss / 2**20


def report(load: Load, clients: int, bare_times: list[tuple[float, float]]) -> None:
    """Print the figures as a table."""
    seconds = sorted(load.seconds)
    rate = len(seconds) / load.wall
    wall, work = (statistics.mean(values) for values in zip(*bare_times, strict=True))
    print(f"| requests, clients | {len(seconds)}, {clients} |")
    print(f"| lost | {load.lost} |")
    print(f"| told to come again (429) | {load.busy} |")
    print(f"| s until the answer, median | {statistics.median(seconds):.2f} |")
    print(f"| s until the answer, 95th percentile | {seconds[int(0.95 * len(seconds))]:.2f} |")
    print(f"| requests a second | {rate:.2f} |")
    print(f"| pictures a second of the bare model | {1 / wall:.2f} |")
    print(f"| processor ms a request | {1000 * load.work / len(seconds):.0f} |")
    print(f"| processor ms a picture of the bare model | {1000 * work:.0f} |")
    for count, mebibytes in load.memory.items():
        print(f"| resident after {count}, MiB | {mebibytes:.0f} |")


if __name__ == "__main__":
    main()
