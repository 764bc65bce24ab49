"""`fkd predict`, in a clone."""

from fkd.commands.predict import main

if __name__ == "__main__":
    main()
