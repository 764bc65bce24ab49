"""`fkd prepare`, in a clone."""

from fkd.commands.prepare import main

if __name__ == "__main__":
    main()
