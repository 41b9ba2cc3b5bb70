"""Run the notebook and keep what comes out in it: python -m docs.notebook [WHERE]

WHERE is another file to write the result to; without it the notebook itself gets its outputs anew.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_name("library.ipynb")


def executed(path: Path = NOTEBOOK) -> nbformat.NotebookNode:
    """The notebook with its outputs; raises CellExecutionError at the first cell that fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=1800, record_timing=False)
    client.execute(env={**os.environ, "PYTHONPATH": str(path.parents[1])})
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    return notebook


if __name__ == "__main__":
    nbformat.write(executed(), Path(sys.argv[1]) if len(sys.argv) > 1 else NOTEBOOK)
