"""``python -m eas_engine``: the same as the command ``eas-engine``."""

from eas_engine.cli import main

if __name__ == "__main__":
    main()
