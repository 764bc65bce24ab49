"""`fkd filter`, in a clone."""

from fkd.commands.filter import main

if __name__ == "__main__":
    main()
