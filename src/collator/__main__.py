"""`python -m collator` is `collator`."""

from __future__ import annotations


def main() -> None:
    """Run the command line, and end with its exit code, also where Ctrl-C comes before the commands are loaded."""
    try:
        from collator.standard_streams import open_missing

        open_missing()
        from collator.cli.main import main as run
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # Exit.INTERRUPTED, which may not have been loaded either
    run()


if __name__ == "__main__":
    main()
