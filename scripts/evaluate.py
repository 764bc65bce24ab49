"""`fkd evaluate`, in a clone."""

from fkd.commands.evaluate import main

if __name__ == "__main__":
    main()
