"""What the server is told, and which names it answers to."""

import ipaddress
import socket

from pydantic import Field

from mldfr.networks.card import Strict


class Settings(Strict):
    """Limits of the server; each bounds what one client can take from the others."""

    model_name: str
    """How the page calls the model."""
    max_bytes: int = Field(default=32 * 2**20, ge=1)
    """Of a request's body."""
    max_pixels: int = Field(default=40_000_000, ge=1)
    """Of an uploaded picture, from the head of its file."""
    max_requests: int = Field(default=8, ge=1)
    """Uploads that are received, waiting or worked on at once; more are answered with 429."""
    upload_seconds: float = Field(default=30, gt=0)
    """How long the body of a request may take to arrive."""
    answer_seconds: float = Field(default=60, gt=0)
    """How long a picture may wait for the model and be worked on."""
    host_names: frozenset[str] = frozenset({"localhost", "127.0.0.1", "::1"})
    """What the Host header may name, in lower case and without a port."""
    any_address: bool = False
    """Whether the Host header may also be any IP address. No attacker's DNS name is one."""


def is_loopback(host: str) -> bool:
    """Whether an address or a name means this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether a host is named by its number."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_names(host: str, others: list[str]) -> frozenset[str]:
    """The names by which a server that is bound to `host` may be asked for: its own, and others that were allowed."""
    names = {"localhost", "127.0.0.1", "::1", host, *others}
    if not is_loopback(host):
        own = socket.gethostname()
        names |= {own, f"{own}.local"}
    return frozenset(name.lower() for name in names)
