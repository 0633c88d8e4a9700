"""`python -m waman` is the command line."""

from waman.cli.main import main

main()
