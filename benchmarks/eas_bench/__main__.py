"""``python -m eas_bench``: the same as the command ``eas-bench``."""

from eas_bench.cli import main

if __name__ == "__main__":
    main()
