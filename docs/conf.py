"""How the pages are built: `sphinx-build -W -n --keep-going -q docs docs/_build/html`, without a network."""

import os
import sys
from pathlib import Path

import monai_brain

sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))

project = "monai_brain"
author = "monai_brain contributors"
copyright = author
version = release = monai_brain.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "generated"]
exclude_patterns = ["_build", "example_plugin", "jupyter_execute"]
smartquotes = False  # options begin with two dashes
html_theme = "furo"
html_title = f"monai_brain {release}"
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# The tutorials run anew in every build, in temporary folders, on the CPU: what they show is what happens.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_output_stderr = "remove"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
# Names of other projects: their pages are not at hand without a network.
nitpick_ignore_regex = [
    ("py:.*", r"(Any|Callable|Path|optional|ConfigWorkflow|(list\[)?dict\[str)"),
    ("py:.*", r"(argparse|collections|ignite|monai|np|npt|numpy|os|pathlib|torch|typing)\..*"),
]
