# SPDX-License-Identifier: MIT
"""Fetching: from a server of this test, checked, unpacked, or refused in one sentence."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile

import pytest
from firstspike_train import official_files
from firstspike_train.official_files import DataError, Source, fetch


def archived(kind):
    raw = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(raw, "w") as packed:
            packed.writestr("inside/a", "hello")
    else:
        with tarfile.open(fileobj=raw, mode="w:gz") as packed:
            member = tarfile.TarInfo("inside/a")
            member.size = 5
            packed.addfile(member, io.BytesIO(b"hello"))
    return raw.getvalue()


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_fetched_checked_and_unpacked_once(tmp_path, monkeypatch, server, kind):
    folder, url = server
    raw = archived(kind)
    (folder / f"x.{kind}").write_bytes(raw)
    source = Source(url=f"{url}/x.{kind}", md5=hashlib.md5(raw).hexdigest(), file=f"x.{kind}", unpacks_to="inside")
    monkeypatch.setitem(official_files.SOURCES, "cifar10", (source,))
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    told: list[tuple[int, int]] = []
    assert fetch("cifar10", lambda *counts: told.append(counts)) == [tmp_path / "cifar10" / "inside"]
    assert told == [(len(raw), len(raw))]
    assert (tmp_path / "cifar10" / "inside" / "a").read_text() == "hello"
    (folder / f"x.{kind}").unlink()
    fetch("cifar10")
    assert sorted(path.name for path in (tmp_path / "cifar10").iterdir()) == ["inside", f"x.{kind}"]


def test_an_altered_file_or_no_network_leaves_nothing(tmp_path, monkeypatch, server):
    folder, url = server
    (folder / "a").write_bytes(b"altered")
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    monkeypatch.setitem(official_files.SOURCES, "mnist", (Source(url=f"{url}/a", md5="0" * 32, file="a"),))
    with pytest.raises(DataError, match=r"/a: MD5 must be 0{32}, not \w{32}; try again later"):
        fetch("mnist")
    monkeypatch.setitem(official_files.SOURCES, "mnist", (Source(url=f"{url}/missing", md5="", file="a"),))
    with pytest.raises(DataError, match=r"must be reachable .*; without a network, put the file at .*/mnist/a"):
        fetch("mnist")
    assert list((tmp_path / "mnist").iterdir()) == []


def test_a_damaged_archive_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cifar-10-python.tar.gz").write_bytes(b"half")
    with pytest.raises(DataError, match="MD5 must be c58f30108f718f92721af3b95e74349a; the file is truncated"):
        fetch("cifar10")


def test_names_that_cannot_be_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"imagenet must be fetched by hand from image-net.org"):
        fetch("imagenet")
    with pytest.raises(DataError, match=r"data set must be one of mnist, .*, cifar10-dvs, shd, not 'x'"):
        fetch("x")
    monkeypatch.delenv("FIRSTSPIKE_DATA")
    with pytest.raises(DataError, match="FIRSTSPIKE_DATA must be set to the folder that holds mnist"):
        fetch("mnist")
