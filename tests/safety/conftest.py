"""Bundles that strangers might bring, each a copy of the tiny one with one thing changed."""

import json

import pytest

from monai_brain.bundles import Bundle


class Strange:
    """A bundle in a test's folder; any code of its that runs leaves the file `canary`."""

    def __init__(self, folder):
        self.root = (
            Bundle.in_package("monai_brain.testing", "tiny_classification").copy(folder / "strange").root
        )
        self.canary = folder / "it_ran"
        self.payload = f"open({str(self.canary)!r}, 'w').close()"

    @property
    def bundle(self):
        return Bundle.at(self.root)  # anew, because a bundle reads its metadata once

    def config(self, name):
        return self.root / "configs" / f"{name}.json"

    def edit(self, name, **changes):
        content = json.loads(self.config(name).read_text("utf-8"))
        for where, value in changes.items():
            *above, last = where.split("__")
            place = content
            for step in above:
                place = place[int(step) if isinstance(place, list) else step]
            place[last] = value
        self.config(name).write_text(json.dumps(content), "utf-8")
        return self

    def add(self, name, content):
        """Values under keys as they are written."""
        whole = json.loads(self.config(name).read_text("utf-8")) | content
        self.config(name).write_text(json.dumps(whole), "utf-8")
        return self

    def write(self, name, content):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self


@pytest.fixture
def strange(tmp_path):
    return Strange(tmp_path)


@pytest.fixture(autouse=True)
def own_trust(tmp_path, monkeypatch):
    """A home for each test, so that none trusts what another did."""
    from monai_brain import registry
    from monai_brain.safety import trust

    monkeypatch.setenv("MONAI_BRAIN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(trust, "_in_this_process", set())
    registry.forget()
    yield
    registry.forget()
