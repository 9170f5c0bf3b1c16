"""``python -m connectrial``."""

from connectrial.cli import main

main()
