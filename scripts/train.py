"""`fkd train`, in a clone."""

from fkd.commands.train import main

if __name__ == "__main__":
    main()
