"""install and remove: a folder, a zip, an address; read before it is taken, listed without a package."""

import json
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from monai_brain import registry
from monai_brain.cli import main
from monai_brain.errors import ConfigurationError, IntegrityError, UnknownNameError
from monai_brain.safety import trust
from monai_brain.safety.install import install, installed, remove


@pytest.fixture
def foreign(strange):
    """A bundle named "foreign" with an expression of its own."""
    strange.edit("metadata", monai_brain__model="foreign").edit("inference", network="$@network_def")
    return strange


def zipped(root, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(root).as_posix())
    return path


def listed(capsys):
    registry.forget()
    assert main(["list", "--json"]) == 0
    return {model["name"] for model in json.loads(capsys.readouterr().out.splitlines()[-1])["models"]}


def test_a_folder_is_listed_after_trust_and_gone_after_remove(foreign, capsys, monkeypatch):
    assert main(["install", str(foreign.root)]) == 4
    assert "names code that is not installed" in capsys.readouterr().err
    assert "foreign" not in listed(capsys)
    assert main(["install", str(foreign.root), "--trust"]) == 0
    assert "monai-brain remove foreign" in capsys.readouterr().out
    assert "foreign" in listed(capsys)
    bundle = registry.bundle("foreign")
    assert bundle.root.parent == registry.installed_folder()
    trust.admit(bundle)
    monkeypatch.setattr(trust, "_in_this_process", set())
    trust.admit(registry.bundle("foreign_classification"))  # from the record alone
    assert main(["install", str(foreign.root), "--trust"]) == 2
    assert "installed already" in capsys.readouterr().err
    assert main(["remove", "foreign"]) == 0
    assert "foreign" not in listed(capsys)
    with pytest.raises(trust.TrustError):
        trust.admit(foreign.bundle)


def test_installed_code_does_not_make_other_bundles_trusted(foreign, tmp_path):
    with trust.given():
        install(foreign.root)
    other = foreign.bundle.copy(tmp_path / "other")
    (other.root / "scripts").mkdir()
    (other.root / "scripts" / "more.py").write_text("a = 1\n", "utf-8")
    with pytest.raises(trust.TrustError):
        trust.admit(other)


def test_a_zip_and_an_address(foreign, tmp_path, capsys):
    (tmp_path / "served").mkdir()
    zipped(foreign.root, tmp_path / "served" / "foreign_classification.zip")
    with trust.given():
        assert install(tmp_path / "served" / "foreign_classification.zip")[0].name == "foreign"
    remove("foreign")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "served"))
    handler.log_message = None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/foreign_classification.zip"
        with pytest.raises(trust.TrustError):
            install(address)
        assert installed() == []
        assert main(["install", address, "--trust", "--json"]) == 0
        server.shutdown()
        thread.join()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["name"] == "foreign"
    assert [entry.name for entry in registry.installed_folder().iterdir()] == ["foreign_classification"]


def test_a_copy_of_an_installed_model_needs_no_trust(strange):
    strange.edit("metadata", monai_brain__model="renamed")
    assert install(strange.root)[0].name == "renamed"
    trust.admit(registry.bundle("renamed"))


def test_hostile_ones_are_not_installed_even_when_trusted(foreign, tmp_path):
    with zipfile.ZipFile(tmp_path / "slip.zip", "w") as archive:
        archive.writestr("../evil", "x")
    (foreign.root / "docs" / "link").symlink_to("/etc/passwd")
    with trust.given():
        for source in (tmp_path / "slip.zip", foreign.root):
            with pytest.raises(IntegrityError):
                install(source)
        (foreign.root / "docs" / "link").unlink()
        foreign.edit("metadata", monai_brain__model="../../evil")
        with pytest.raises(ConfigurationError, match="no name of a model"):
            install(foreign.root)
        foreign.edit("metadata", monai_brain__model="baseline")
        with pytest.raises(ConfigurationError, match="installed already"):
            install(foreign.root)
    assert installed() == []


def test_remove_leaves_packages_alone():
    with pytest.raises(ConfigurationError, match="by pip"):
        remove("baseline")
    with pytest.raises(UnknownNameError):
        remove("nothing")


def test_one_that_was_damaged_later_is_named_and_the_rest_works(foreign, capsys):
    with trust.given():
        install(foreign.root)
    (registry.installed_folder() / "foreign_classification" / "configs" / "metadata.json").write_text("{")
    registry.forget()
    found = registry.registry()
    assert "no valid JSON" in found.broken["installed foreign_classification"]
    assert "baseline" in found.bundles


def test_the_variable_selects_installed_bundles_too(foreign, monkeypatch):
    with trust.given():
        install(foreign.root)
    for value, there in (("builtin", False), ("builtin,installed", True)):
        monkeypatch.setenv("MONAI_BRAIN_PLUGINS", value)
        registry.forget()
        assert ("foreign" in registry.registry().bundles) is there
        assert registry.registry().broken == {}


def test_what_is_nothing(tmp_path):
    for source in (tmp_path / "absent.zip", "a/b/c"):
        with pytest.raises(ConfigurationError, match="no folder, zip, address or name in the zoo"):
            install(source)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="is no bundle"):
        install(tmp_path / "empty")
