"""`python -m mldfr`, which is what `torchrun -m mldfr` needs."""

from mldfr.cli.main import app

app(prog_name="mldfr")
