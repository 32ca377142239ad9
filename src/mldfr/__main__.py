"""`python -m mldfr`, which is what `torchrun -m mldfr` needs."""

from mldfr.cli.entry import main

main()
