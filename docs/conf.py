"""How the documentation is built: `sphinx-build --fail-on-warning --keep-going docs docs/_build`."""

import os
import sys
from pathlib import Path

from optvis.formatting.version import __version__

sys.path.insert(0, str(Path(__file__).parent))  # for `kernels`, `notebooks` and `reference`

from reference import describe

project = "optvis"
release = version = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "balance",
    "kernels",
    "notebooks",
    "reference",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "jupyter_execute", "pictures"]
default_role = "code"  # `word` in docstrings
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # a method without a docstring of its own does what its base says
autosummary_context = {"describe": describe}
suppress_warnings = ["config.cache"]  # of that function: the pages are written anew by each build
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"optvis {version}"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# The pages run as they are built, on the embedded network. Progress bars go to stderr, which is left out.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 600
nb_execution_in_temp = True
nb_output_stderr = "remove"

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait leave the processor to others
