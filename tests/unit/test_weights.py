"""Weights: what is fetched is what the manifest says, whatever the network does."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import multiprocessing
import re
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers_cli import command
from helpers_http import FaultyServer, faulty_server

from sasmamba.app import weights
from sasmamba.app.weights import download, manifest
from sasmamba.app.weights import store as weights_store
from sasmamba.app.weights.manifest import Entry, Member, Source, Wheel
from sasmamba.app.weights.npm import NpmMember, NpmPackage, bundle
from sasmamba.app.weights.store import Store
from sasmamba.common.errors import UserError

BODY = bytes(range(256)) * 1200  # 300 kB


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(download, "SILENCE_S", 0.4)
    monkeypatch.setattr(download, "TRICKLE_S", 0.3)
    monkeypatch.setattr(download, "GOOD_PART_BYTES", 10_000)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with faulty_server(BODY) as running:
        yield running


def store_of(tmp_path: Path, *sources: Source, offline: bool = False) -> Store:
    entry = Entry("thing", "a test", "MIT", "thing.bin", sources)
    return Store((entry,), tmp_path / "cache", tmp_path / "shipped", offline)


def at(server: FaultyServer, path: str) -> Source:
    return Source(len(BODY), sha(BODY), url=server.url + path)


@pytest.mark.parametrize("path", ["/file", "/redirect", "/cut", "/cut-no-range"])
def test_ends_well_however_often_the_connection_breaks(server: FaultyServer, tmp_path: Path, path: str) -> None:
    got = store_of(tmp_path, at(server, path)).ensure("thing")
    assert got.read_bytes() == BODY
    assert not list(got.parent.glob("*.part"))


def test_a_broken_transfer_goes_on_where_it_stopped(server: FaultyServer, tmp_path: Path) -> None:
    store_of(tmp_path, at(server, "/cut")).ensure("thing")
    starts = [0 if asked is None else int(asked.strip("bytes=-")) for _, asked in server.seen]
    assert starts[0] == 0
    assert len(starts) > 3
    assert starts == sorted(starts)
    assert starts[1] > len(BODY) // 5


def test_a_later_run_goes_on_with_what_an_earlier_one_left(server: FaultyServer, tmp_path: Path) -> None:
    store = store_of(tmp_path, at(server, "/file"))
    store.cache.mkdir()
    (store.cache / f"thing.bin.{sha(BODY)[:8]}.part").write_bytes(BODY[:100_000])
    assert store.ensure("thing").read_bytes() == BODY
    assert server.seen == [("/file", "bytes=100000-")]


def test_a_leftover_of_other_bytes_is_not_kept(server: FaultyServer, tmp_path: Path) -> None:
    store = store_of(tmp_path, at(server, "/file"))
    store.cache.mkdir()
    (store.cache / f"thing.bin.{sha(BODY)[:8]}.part").write_bytes(b"x" * 100_000)
    assert store.ensure("thing").read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "reason", "most_tries"),
    [
        ("/missing", "answers 404", 1),
        ("/broken", "answers 500", 4),
        ("/wrong", "do not match the checksum", 1),
        ("/long", "more than the 307200 bytes", 1),
        ("/stall", "stalled", 6),
        ("/trickle", "stalled", 6),
    ],
)
def test_a_bad_source_is_named_and_the_next_one_tried(
    server: FaultyServer, tmp_path: Path, path: str, reason: str, most_tries: int
) -> None:
    with pytest.raises(UserError, match=reason) as caught:
        store_of(tmp_path / "alone", at(server, path)).ensure("thing")
    assert "sasmamba-demo weights fetch thing" in str(caught.value)
    assert 1 <= server.count(path) <= most_tries
    assert not (tmp_path / "alone" / "cache" / "thing.bin").exists()
    told: list[str] = []
    got = store_of(tmp_path / "two", at(server, path), at(server, "/file")).ensure("thing", tell=told.append)
    assert got.read_bytes() == BODY
    assert len(told) == 2


def test_no_server_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES_S", (0.0,))
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9: no connection"):
        store_of(tmp_path, Source(1, sha(b"x"), url="http://127.0.0.1:9/x")).ensure("thing")


def test_what_is_there_is_checked_and_not_fetched(server: FaultyServer, tmp_path: Path) -> None:
    store = store_of(tmp_path, at(server, "/file"))
    assert store.locate("thing") is None
    assert store.status("thing").state == "missing"
    path = store.ensure("thing")
    store.ensure("thing")
    assert store.locate("thing") == path
    assert server.count("/file") == 1
    path.write_bytes(BODY[:-1] + b"?")
    assert store.status("thing").state == "damaged"
    assert store.locate("thing") is None
    assert store.ensure("thing").read_bytes() == BODY


def test_offline_makes_no_attempt(server: FaultyServer, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="fetching is switched off"):
        store_of(tmp_path, at(server, "/file"), offline=True).ensure("thing")
    assert server.seen == []


def test_environment_names_folder_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SASMAMBA_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("SASMAMBA_OFFLINE", "1")
    assert weights.cache_dir() == tmp_path / "mine"
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "mine"))):
        weights.ensure("demo-clip")
    monkeypatch.delenv("SASMAMBA_WEIGHTS")
    assert "sasmamba-demo" in str(weights.cache_dir())


def test_a_relative_folder_is_the_one_of_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SASMAMBA_WEIGHTS", "mine")
    assert weights.cache_dir() == tmp_path / "mine"


def test_packaged_weights_are_verified(tmp_path: Path) -> None:
    store = store_of(tmp_path, Source(5, sha(b"hello"), packaged="lifter.safetensors"))
    with pytest.raises(UserError, match="Reinstall"):
        store.ensure("thing")
    store.shipped.mkdir()
    (store.shipped / "lifter.safetensors").write_bytes(b"hello")
    assert store.ensure("thing") == store.shipped / "lifter.safetensors"
    (store.shipped / "lifter.safetensors").write_bytes(b"hullo")
    with pytest.raises(UserError, match="damaged or was altered"):
        store.ensure("thing")


def test_an_unknown_name_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are: thing") as caught:
        store_of(tmp_path, Source(1, sha(b"x"), packaged="x")).ensure("thign")
    assert caught.value.exit_code == 2


def test_an_unwritable_cache_says_what_to_set(server: FaultyServer, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(UserError, match="Set SASMAMBA_WEIGHTS"):
        store_of(tmp_path, at(server, "/file")).ensure("thing")


def _fetch(store: Store) -> None:
    store.ensure("thing")


class TestOnlyTheFirstDigitsPublished:
    """OpenMMLab names the first 8 digits of a file's SHA-256 and no size."""

    def at(self, server: FaultyServer, path: str) -> Source:
        return Source(url=server.url + path, sha256_prefix=sha(BODY)[:8])

    @pytest.mark.parametrize("path", ["/file", "/redirect", "/cut", "/cut-no-range"])
    def test_ends_well(self, server: FaultyServer, tmp_path: Path, path: str) -> None:
        told: list[str] = []
        got = store_of(tmp_path, self.at(server, path)).ensure("thing", tell=told.append)
        assert got.read_bytes() == BODY
        assert told == [f"Fetching thing from {urlsplit(server.url).netloc}."]

    @pytest.mark.parametrize(
        ("path", "reason"),
        [
            ("/missing", "answers 404"),
            ("/wrong", "do not match the checksum"),
            ("/long", "do not match the checksum"),
            ("/stall", "stalled"),
        ],
    )
    def test_a_bad_source(self, server: FaultyServer, tmp_path: Path, path: str, reason: str) -> None:
        store = store_of(tmp_path, self.at(server, path))
        with pytest.raises(UserError, match=reason):
            store.ensure("thing")
        assert not (store.cache / "thing.bin").exists()

    def test_what_is_there_is_checked(self, server: FaultyServer, tmp_path: Path) -> None:
        store = store_of(tmp_path, self.at(server, "/file"))
        path = store.ensure("thing")
        assert store.status("thing").state == "ok"
        path.write_bytes(BODY[:-1] + b"?")
        assert store.status("thing").state == "damaged"

    def test_all_of_it_was_left_by_an_earlier_run(self, server: FaultyServer, tmp_path: Path) -> None:
        store = store_of(tmp_path, self.at(server, "/file"))
        store.cache.mkdir()
        (store.cache / f"thing.bin.{sha(BODY)[:8]}.part").write_bytes(BODY)
        assert store.ensure("thing").read_bytes() == BODY
        assert server.seen == [("/file", f"bytes={len(BODY)}-")]

    def test_never_without_encryption(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A few digits can be forged: a redirection away from the publisher's encrypted address is refused."""

        class Answer:
            url = "http://elsewhere/file"
            status_code = 200

            def __enter__(self) -> Answer:
                return self

            def __exit__(self, *_: object) -> None: ...

        monkeypatch.setattr("requests.get", lambda *_, **__: Answer())
        source = Source(url="https://publisher/file", sha256_prefix="00000000")
        with pytest.raises(UserError, match="redirects to an address without encryption"):
            store_of(tmp_path, source).ensure("thing")


class TestIfItCanBeHad:
    """`obtain`, for what something else can stand in for."""

    def test_it_is_fetched(self, server: FaultyServer, tmp_path: Path) -> None:
        got = store_of(tmp_path, at(server, "/file")).obtain("thing")
        assert got is not None
        assert got.read_bytes() == BODY

    @pytest.mark.parametrize("path", ["/missing", "/wrong", "nothing listens"])
    def test_it_is_asked_for_once_a_day(
        self, server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
    ) -> None:
        url = "http://127.0.0.1:9/x" if path == "nothing listens" else server.url + path
        store = store_of(tmp_path, Source(len(BODY), sha(BODY), url=url))
        assert store.obtain("thing") is None
        asked = len(server.seen)
        assert store.obtain("thing") is None
        assert len(server.seen) == asked
        monkeypatch.setattr(weights_store, "ASK_AGAIN_S", 0.0)
        assert store.obtain("thing") is None
        assert len(server.seen) == 2 * asked

    def test_who_asks_in_words_need_not_wait(self, server: FaultyServer, tmp_path: Path) -> None:
        assert store_of(tmp_path, at(server, "/missing")).obtain("thing") is None
        store = store_of(tmp_path, at(server, "/file"))
        assert store.obtain("thing") is None
        assert store.ensure("thing") == store.obtain("thing")

    def test_offline_nothing_is_asked(self, server: FaultyServer, tmp_path: Path) -> None:
        store = store_of(tmp_path, at(server, "/file"), offline=True)
        assert store.obtain("thing") is None
        assert server.seen == []
        assert not store.cache.exists()


def test_a_proxy_is_honoured(server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.delenv("no_proxy", raising=False)
    got = store_of(tmp_path, Source(len(BODY), sha(BODY), url="http://weights.invalid/file")).ensure("thing")
    assert got.read_bytes() == BODY
    assert server.seen == [("http://weights.invalid/file", None)]
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="the proxy cannot be reached"):
        store_of(tmp_path / "2", Source(len(BODY), sha(BODY), url="http://weights.invalid/file")).ensure("thing")


def test_two_processes_fetch_once(server: FaultyServer, tmp_path: Path) -> None:
    store = store_of(tmp_path, at(server, "/file"))
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_fetch, args=(store,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [p.exitcode for p in both] == [0, 0]
    assert store.locate("thing") is not None
    assert server.count("/file") == 1


def make_wheel(folder: Path, member: bytes) -> Path:
    """The smallest wheel pip accepts."""
    folder.mkdir()
    path = folder / "tiny_thing-1.0-py3-none-any.whl"
    info = "tiny_thing-1.0.dist-info"
    files = {
        "tiny_thing/data.bin": member,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: tiny-thing\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for name, data in files.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, f"{info}/RECORD": (record + f"{info}/RECORD,,\n").encode()}.items():
            archive.writestr(name, data)
    return path


def test_a_member_of_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_wheel(tmp_path / "index", b"the data")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))

    def source(wheel_sha: str, member_sha: str, version: str = "1.0") -> Source:
        wheel = Wheel("tiny-thing", version, wheel_sha, (Member("tiny_thing/data.bin", member_sha),))
        return Source(8, sha(b"the data"), pypi=wheel)

    good, bad = sha(path.read_bytes()), sha(b"other")
    assert store_of(tmp_path, source(good, sha(b"the data"))).ensure("thing").read_bytes() == b"the data"
    for case, reason in (
        (source(bad, sha(b"the data")), "the wheel does not match"),
        (source(good, bad), "data.bin in the wheel does not match"),
        (source(good, sha(b"the data"), version="2.0"), "pip: No matching distribution found for tiny-thing==2.0"),
    ):
        store = store_of(tmp_path / reason, case)
        with pytest.raises(UserError, match=reason):
            store.ensure("thing")
        assert [p.suffix for p in store.cache.iterdir()] in ([], [".lock"])


def test_no_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.importlib.util, "find_spec", lambda name: None)
    wheel = Wheel("tiny-thing", "1.0", sha(b""), (Member("x", sha(b"")),))
    with pytest.raises(UserError, match="no pip"):
        store_of(tmp_path, Source(8, sha(b"x"), pypi=wheel)).ensure("thing")


def test_the_shipped_manifest() -> None:
    names = [e.name for e in weights.entries()]
    assert {"pose-landmarker-full", "demo-clip"} <= set(names)
    for entry in weights.entries():
        assert entry.licence
        assert entry.purpose
        for source in entry.sources:
            assert source.size is None or source.size > 0
            if source.sha256_prefix is not None:  # the publisher's own word
                assert f"-{source.sha256_prefix}" in str(source.url)
            assert source.url is None or urlsplit(source.url).scheme == "https"
        if entry.packaged is not None:
            assert weights.verify(entry.name).state == "ok"


GOOD = (
    f'[[weights]]\nname="a"\npurpose="p"\nlicence="MIT"\nfile="a"\nsource=[{{size=1, sha256="{"0" * 64}", url="u"}}]\n'
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD + GOOD, "more than once"),
        (GOOD.replace(', url="u"', ""), "want one of url"),
        (GOOD.replace('url="u"', 'url="u", packaged="p"'), "want one of url"),
        (GOOD.replace("0" * 64, "0" * 63), "64 lower-case"),
        (GOOD.replace("size=1, ", ""), "and a size"),
        (GOOD.replace("url=", 'sha256_prefix="00000000", url='), "want one of sha256, sha256_prefix"),
        (GOOD.replace("sha256=", "sha256_prefix=").replace("0" * 64, "0" * 7), "8 to 63 digits"),
        (GOOD.replace("sha256=", "sha256_prefix=").replace("0" * 64, "x" * 8), "hexadecimal"),
        (GOOD.replace("licence", "license"), "license"),
        (GOOD.replace("source", "sauce"), "source"),
        ("= 1", "Invalid"),
    ],
    ids=[
        "double",
        "no-kind",
        "two-kinds",
        "short-hash",
        "no-size",
        "hash-and-prefix",
        "short-prefix",
        "odd-prefix",
        "unknown-key",
        "no-source",
        "not-toml",
    ],
)
def test_a_bad_manifest_says_why(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "manifest.toml"
    path.write_text(GOOD)
    assert manifest.read_manifest(path)[0].name == "a"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        manifest.read_manifest(path)


def test_the_list_says_how_each_file_is_checked() -> None:
    rows = {line.split()[0]: line for line in command("weights", "list").out.splitlines() if line.strip()}
    for entry in weights.entries():
        assert entry.name in rows  # in full, however narrow the terminal
    assert "SHA-256, 8" in rows["hrnet-w32"]
    assert "SHA-256" in rows["yolox-s"]
    assert "SHA-256," not in rows["yolox-s"]


# The npm registry. A stand-in for npm copies a tarball, or fails, as told by its environment.

NPM = """#!{python}
import os, shutil, sys, time
folder = sys.argv[sys.argv.index("--pack-destination") + 1]
assert sys.argv[1:3] == ["pack", "people@1.2.3"], sys.argv
if os.environ.get("NPM_FAILS"):
    sys.exit("npm error code E404\\nnpm error 404 Not Found - people@1.2.3\\nnpm error A complete log is at x")
shutil.copy(os.environ["NPM_TARBALL"], os.path.join(folder, "people-1.2.3.tgz"))
"""
FILES = {"package/models/a.bin": BODY, "package/models/a.json": b"{}"}


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tarball that the stand-in for npm, the only program on the path, brings."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "npm").write_text(NPM.format(python=sys.executable))
    (tools / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    tarball = tmp_path / "people.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        for name, data in FILES.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    monkeypatch.setenv("NPM_TARBALL", str(tarball))
    return tarball


def npm_source(tarball: Path, *mirrors: str) -> Source:
    members = tuple(NpmMember(name, sha(data), len(data)) for name, data in FILES.items())
    package = NpmPackage("people", "1.2.3", sha(tarball.read_bytes()), tarball.stat().st_size, members, mirrors)
    data = bundle(package, list(FILES.values()))
    return Source(len(data), sha(data), npm=package)


def test_npm_fetches_the_package_and_leaves_only_the_bundle(npm: Path, tmp_path: Path) -> None:
    path = store_of(tmp_path, npm_source(npm)).ensure("thing")
    with zipfile.ZipFile(path) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"a.json": b"{}", "a.bin": BODY}
    assert {p.name for p in path.parent.iterdir()} <= {"thing.bin", "thing.bin.lock"}


def test_mirrors_are_asked_before_npm(npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NPM_FAILS", "1")
    folder = tmp_path / "web"
    for name, data in FILES.items():
        (folder / name.removeprefix("package/")).parent.mkdir(parents=True, exist_ok=True)
        (folder / name.removeprefix("package/")).write_bytes(data)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = npm_source(npm, "http://127.0.0.1:9/nobody", f"http://127.0.0.1:{server.server_port}/")
        path = store_of(tmp_path, source).ensure("thing")
        server.shutdown()
    assert zipfile.is_zipfile(path)
    assert {p.name for p in path.parent.iterdir()} <= {"thing.bin", "thing.bin.lock"}


def test_what_a_failing_mirror_gave_is_not_kept(
    npm: Path, server: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = npm_source(npm, server.url)  # it serves BODY everywhere: the second file is wrong
    path = store_of(tmp_path, source).ensure("thing")
    assert server.seen
    assert {p.name for p in path.parent.iterdir()} <= {"thing.bin", "thing.bin.lock"}


def _without_npm(npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(npm.parent / "nothing"))


def _cut(npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm.write_bytes(npm.read_bytes()[:-100])


def _altered(npm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm.write_bytes(npm.read_bytes()[:-100] + bytes(100))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_without_npm, "npm is not installed here"),
        (lambda npm, monkeypatch: monkeypatch.setenv("NPM_FAILS", "1"), "404 Not Found"),
        (_cut, "the package is cut off after"),
        (_altered, "the package does not match its checksum"),
    ],
)
def test_what_npm_cannot_bring_is_told_and_leaves_nothing(
    npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable, reason: str
) -> None:
    source = npm_source(npm)
    harm(npm, monkeypatch)
    store = store_of(tmp_path, source)
    with pytest.raises(UserError, match=reason):
        store.ensure("thing")
    assert {p.name for p in store.cache.iterdir()} <= {"thing.bin.lock"}


def test_an_npm_package_of_altered_members_is_refused(npm: Path, tmp_path: Path) -> None:
    source = npm_source(npm)
    assert source.npm is not None
    members = (source.npm.members[0], replace(source.npm.members[1], sha256=sha(b"other")))
    wrong = replace(source, npm=replace(source.npm, members=members))
    with pytest.raises(UserError, match=r"a\.json in the package does not match"):
        store_of(tmp_path, wrong).ensure("thing")
