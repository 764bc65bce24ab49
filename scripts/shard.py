"""`fkd shard`, in a clone."""

from fkd.commands.shard import main

if __name__ == "__main__":
    main()
