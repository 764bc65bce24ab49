"""`fkd export`, in a clone."""

from fkd.commands.export import main

if __name__ == "__main__":
    main()
