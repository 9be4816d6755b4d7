"""MONAI Label's server without leave for other web sites: it answers whoever asks from this machine alone."""

from __future__ import annotations

from monai_brain.errors import MissingExtraError

try:
    from monailabel.app import app
except ImportError as error:
    raise MissingExtraError(error.name or "monailabel", "label") from error
# By default it lets the script of any page in the user's browser read and write the studies.
app.user_middleware = [one for one in app.user_middleware if one.cls.__name__ != "CORSMiddleware"]
