"""`python -m homeostat`: the command line."""

from homeostat.cli import main

main()
