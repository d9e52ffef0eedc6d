"""`python -m recsys.cli` is `recsys`."""

from recsys.cli import app

if __name__ == "__main__":
    app(prog_name="recsys")
