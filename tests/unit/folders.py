"""The folders of the project: what is said of each service holds for one that is added, too."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
SERVICES = {path.parent.name for path in ROOT.glob("*/__main__.py")} - {"bench", "tests", "deploy"}
PACKAGES = {"messages", *SERVICES}
PRODUCT = {*PACKAGES, "deploy", "bench"}
