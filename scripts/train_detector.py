"""`fkd train_detector`, in a clone."""

from fkd.commands.train_detector import main

if __name__ == "__main__":
    main()
