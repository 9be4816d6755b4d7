"""Where a new plugin's network comes from: timm, a file of the user's, or the template."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_brain.errors import ConfigurationError, MissingExtraError, UnknownNameError
from monai_brain.new_plugin.names import Naming

TIMM = "timm:"
TEMPLATE, TIMM_TEMPLATE = "network.py.template", "timm_network.py.template"
# What a network's own arguments may be called, and the key of the recipe that fills each.
ARGUMENTS: dict[str, Any] = {
    **dict.fromkeys(("num_classes", "n_classes", "classes", "num_labels"), "$len(@labels)"),
    **dict.fromkeys(("in_channels", "in_chans", "n_channels", "channels", "in_ch"), "@in_channels"),
    **dict.fromkeys(("image_size", "img_size", "input_size"), "@image_size"),
}
# Of MONAI's own networks: they serve volumes too.
_FOR_IMAGES: dict[str, Any] = {"spatial_dims": 2, "out_channels": "$len(@labels)"}
# These come with monai_brain.
_AT_HAND = {"torch", "monai", "numpy", "scipy", "sklearn", "cv2", "ignite", "pluggy", "monai_brain", "PIL"}


@dataclass(frozen=True)
class Source:
    """A network to build a plugin around.

    Attributes:
        text: The content of network.py, or "" where a template is filled in.
        template: The template of network.py.
        attribute: The name in network.py that builds the network.
        words: What the template's words become.
        needs: Distributions that it needs beside monai_brain, as a pyproject.toml lists them.
        pretrained: Whether it can begin with published weights.
    """

    attribute: str
    text: str = ""
    template: str = TEMPLATE
    words: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    pretrained: bool = False


def source(network: str | None, names: Naming) -> Source:
    """The network that the words after --network mean: nothing, `timm:NAME` or `PATH.py:Class`.

    Raises:
        ConfigurationError: They are none of these, or the file is not there or has no such class.
        UnknownNameError: timm has no such network.
        MissingExtraError: timm is not installed.
    """
    if network is None:
        return Source(names.class_name)
    if network.startswith(TIMM):
        return _of_timm(network.removeprefix(TIMM), names)
    path, colon, attribute = network.rpartition(":")
    if not colon or not path.endswith(".py") or not attribute.isidentifier():
        raise ConfigurationError(
            f"--network is {network!r}. Expected timm:NAME, or PATH.py:Class for a file of your own."
        )
    return _of_file(Path(path), attribute)


def _of_timm(name: str, names: Naming) -> Source:
    try:
        import timm
    except ImportError as error:
        raise MissingExtraError("timm", "baselines") from error
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise UnknownNameError("timm network", architecture, timm.list_models())
    return Source(
        names.package,
        template=TIMM_TEMPLATE,
        words=(("timm_architecture", name),),
        needs=("timm>=1.0",),
        pretrained=bool(timm.list_pretrained(architecture)),
    )


def _of_file(path: Path, attribute: str) -> Source:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as UTF-8 text: {error}.") from None
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"{path} is no Python: {error}.") from None
    known = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    if attribute not in known:
        raise UnknownNameError(f"class in {path.name}", attribute, known)
    return Source(attribute, text, needs=_needs(tree, path))


def _needs(tree: ast.Module, path: Path) -> tuple[str, ...]:
    """The distributions that hold what the file imports; a module beside it cannot come along."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ConfigurationError(
                    f"{path.name} imports the modules beside it (line {node.lineno}). The network must stand "
                    "in one file, or in a package that is installed."
                )
            imported.add(str(node.module).partition(".")[0])
    owners = importlib.metadata.packages_distributions()
    needs = set()
    for name in imported - _AT_HAND - sys.stdlib_module_names:
        if name not in owners:
            raise ConfigurationError(
                f"{path.name} imports {name!r}, which is not installed. Install it, or put what is needed of "
                "it into the file."
            )
        needs.add(re.sub(r"[-_.]+", "-", owners[name][0]).lower())
    return tuple(sorted(needs))


def definition(target: str, build: Callable[..., Any], pretrained: bool) -> dict[str, Any]:
    """The network_def of the recipes: each argument of the network by the key that fills it.

    Raises:
        ConfigurationError: The network asks for something that nothing fills, or does not take the number
            of classes and of channels.
    """
    parameters = _parameters(build)
    found: dict[str, Any] = {"_target_": target}
    fills = {**ARGUMENTS, "pretrained": "@pretrained"} if pretrained else ARGUMENTS
    if "spatial_dims" in parameters:
        fills = {**fills, **_FOR_IMAGES}
    found |= {name: fills[name] for name in parameters if name in fills}
    without = [
        name
        for name, parameter in parameters.items()
        if name not in found
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if without:
        raise ConfigurationError(
            f"{target} asks for {without[0]!r}, which no recipe fills. Give it a default value in the file."
        )
    for key, name in (("$len(@labels)", "num_classes"), ("@in_channels", "in_channels")):
        if key not in found.values():
            raise ConfigurationError(f"{target} takes no {name!r}. Give its __init__ that argument.")
    return found


def _parameters(build: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(build).parameters
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"The arguments of {build!r} cannot be read: {error}.") from None
