"""`python -m lexidex`."""

from lexidex.cli import main

if __name__ == "__main__":
    main()
