"""What must stay light or single."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "polars", "faiss", "fastapi", "matplotlib")


@pytest.mark.parametrize("code", ["import recsys", "import migrations", "import recsys.cli"])
def test_it_loads_nothing_heavy(code: str) -> None:
    probe = f"{code}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_no_torch() -> None:
    probe = (
        "import sys\nfrom recsys.cli import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert "quickstart" in done.stdout
    assert done.stdout.rstrip().endswith("False")
