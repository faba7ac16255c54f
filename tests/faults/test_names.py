"""Files and folders may be called anything, under any locale: every writer writes, or says so before the work."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from helpers_cli import command, left_in, one_sentence, start, walker_2d
from helpers_video import write_video

from sasmamba.common.files import printable

#: The command, with a 2D stage that sees somebody at no cost.
SEEING = """import sys; sys.path.insert(0, {tests!r})
import sasmamba.app.pipeline as pipeline
from helpers_cli import walker_2d
pipeline.open_pose2d = walker_2d
from sasmamba.app.cli.main import main; main()"""
TESTS = str(Path(__file__).parents[1])

NAMES = {
    "bytes that are no text": b"\xff\xfe\x80",
    "Latin-1": "Bühne".encode("latin-1"),
    "UTF-8": "Bühne 舞台 🎥".encode(),
    "two lines": b"a\nb\rc",
    "a tab": b"a\tb",
    "a dash": b"-rf",
    "a pattern": b"a%04d%s",
    "an address": b"http:a",
    "another": b"file:a",
    "a long one": b"a" * 235,
    "as long in fewer letters": ("ü" * 117).encode(),
    "dots": b"..a..b.",
    "quotes": b"a'b\"c`d",
    "markup": b"[red]<b>&amp;",
}
FORMATS = ("bvh", "trc", "c3d", "csv", "json", "npz", "html")


def written(name: str) -> list[str]:
    """What a run leaves that is asked for everything."""
    one = [f"{name}_3d_1.{form}" for form in ("bvh", "trc", "c3d")]
    return sorted(
        [f"{name}.mp4", f"{name}_3d.mp4", f"{name}.npz", *one]
        + [f"{name}_3d.{form}" for form in ("csv", "json", "npz", "html")]
        + [f"{name}_3d_about.json"]
    )


@pytest.fixture
def formats() -> str:
    pytest.importorskip("ezc3d")
    return ",".join(FORMATS)


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are text there")
@pytest.mark.parametrize("place", ["file", "folder"])
@pytest.mark.parametrize("raw", NAMES.values(), ids=NAMES)
def test_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formats: str, raw: bytes, place: str) -> None:
    monkeypatch.setattr("sasmamba.app.pipeline.open_pose2d", walker_2d)
    odd = os.fsdecode(raw)
    folder, name = (tmp_path / odd, "clip") if place == "folder" else (tmp_path, odd)
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    os.rename(write_video(tmp_path / "plain.mp4", 3, size=(320, 240), audio="aac"), f"{name}.mp4")
    where = folder / name  # a name of its own, and in the folder by its whole path
    out = f"{name}_3d.mp4" if place == "file" else f"{where}_3d.mp4"
    asked = ("--out", out, f"--save-poses={name}.npz", "--export", formats, "--height", 120)
    result = command(*asked, "--", f"{name}.mp4")
    assert result.code == 0, result.err
    assert left_in(folder) == written(name)
    lines = [line for line in result.out.split("\n") if line.startswith("written ")]
    assert len(lines) == len(written(name)) - 1, "each on one line"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.out), "nothing that a terminal would obey"
    header = Path(f"{name}_3d_1.trc").read_text(encoding="utf-8").split("\n")
    assert header[0] == f"PathFileType\t4\t(X/Y/Z)\t{printable(name)}_3d_1.trc"
    assert header[1].startswith("DataRate\t")


@pytest.mark.skipif(os.name == "nt", reason="there are no such locales")
@pytest.mark.parametrize("coding", ["0", "1"], ids=["locale's", "UTF-8"])
def test_the_c_locale(tmp_path: Path, formats: str, coding: str) -> None:
    """A name of which one part is UTF-8 and one is not."""
    name = os.fsdecode("Bühne 舞台".encode() + (b"" if sys.platform == "darwin" else b"\xff\xfe"))  # text there
    os.rename(write_video(tmp_path / "a.mp4", 3, size=(320, 240)), tmp_path / f"{name}.mp4")
    environment = {"LC_ALL": "C", "PYTHONUTF8": coding, "PYTHONCOERCECLOCALE": "0"}
    asked = ("--save-poses", tmp_path / f"{name}.npz", "--export", formats, "--height", 120, "--quiet")
    process = start(tmp_path / f"{name}.mp4", *asked, code=SEEING.format(tests=TESTS), **environment)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert left_in(tmp_path) == written(name)


@pytest.mark.parametrize("length", [239, 241, 243, 245, 248, 251, 300])
def test_names_too_long_for_any_of_the_files_are_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Those of exports are longer than the render's, and those of the tenth person longer than the first's."""

    def begin(*_: object, **__: object) -> None:
        raise AssertionError("the names should have been tried first")

    monkeypatch.setattr("sasmamba.app.pipeline.analyse", begin)
    video = write_video(tmp_path / "clip.mp4", 2)
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / ("a" * length + ".mp4")
    if length + len("_about.json") <= 255 and length + len("_9999.trc") <= 255:
        with pytest.raises(AssertionError):
            command(video, "--out", out, "--export", "trc")
    else:
        result = command(video, "--out", out, "--export", "trc")
        assert one_sentence(result.err).endswith("could not be written: that name is too long; choose a shorter one.")
        assert result.code == 1
    assert left_in(tmp_path / "out") == []


def test_a_name_for_a_line_of_text() -> None:
    assert printable("a\tb\nc ü") == "a\\tb\\nc ü"
    assert printable(os.fsdecode(b"\xff")) in ("\\xff", "�")
