"""Texts in the user's cache: made once, never trusted when damaged, not needed."""

from __future__ import annotations

from connectrial.io.kept import kept_text


def test_a_text_is_made_once_and_again_when_damaged(tmp_path, monkeypatch):
    monkeypatch.setenv("CONNECTRIAL_HOME", str(tmp_path))
    made = []

    def make() -> str:
        made.append(1)
        return "ä script\r\n</script>\n"

    texts = [kept_text("one-1.0.js", make) for _ in range(3)]
    assert set(texts) == {"ä script\r\n</script>\n"}
    assert len(made) == 1
    (kept,) = (tmp_path / "scripts").iterdir()
    for damage in (kept.read_bytes()[:-3], b"", b"\xff\xfe", kept.read_bytes() + b"alert(1)"):
        kept.write_bytes(damage)
        assert kept_text("one-1.0.js", make) == texts[0]
    assert len(made) == 5


def test_nothing_can_be_kept(tmp_path, monkeypatch):
    """A file stands where the folder should be: the text is made every time."""
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setenv("CONNECTRIAL_HOME", str(tmp_path / "home"))
    assert [kept_text("one.js", lambda: "text") for _ in range(2)] == ["text", "text"]
