"""`fkd calibrate`, in a clone."""

from fkd.commands.calibrate import main

if __name__ == "__main__":
    main()
