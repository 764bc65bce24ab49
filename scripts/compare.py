"""`fkd compare`, in a clone."""

from fkd.commands.compare import main

if __name__ == "__main__":
    main()
