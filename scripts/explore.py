"""`fkd explore`, in a clone."""

from fkd.commands.explore import main

if __name__ == "__main__":
    main()
