"""`python -m collator` is `collator`."""

from collator.cli.main import main

main()
