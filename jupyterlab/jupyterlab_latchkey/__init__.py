"""The JupyterLab extension of Latchkey. Everything happens in the browser: Python only carries the files."""

try:
    from ._version import __version__
except ImportError:  # Run from a checkout that was never built.
    __version__ = "dev"


def _jupyter_labextension_paths():
    return [{"src": "labextension", "dest": "jupyterlab-latchkey"}]
