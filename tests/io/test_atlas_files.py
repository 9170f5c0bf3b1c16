"""Fetching against a server on this machine: right, wrong, cut short, absent, broken off."""

import hashlib
import http.server
import threading
from functools import partial

import pandas as pd
import pytest

from connectrial.errors import InputError
from connectrial.io import atlas_files
from connectrial.io.atlas_files import atlas_folder, fetch_atlas, fetched_file

IMAGE, TABLE = b"not really an image" * 400, b"A\nB\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve a folder; note what was asked for; on demand send less than was announced."""

    asked: list[str] = []  # noqa: RUF012
    cut = False

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.asked.append(self.path)
        if self.cut and self.path.endswith(".nii.gz"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(IMAGE)))
            self.end_headers()
            self.wfile.write(IMAGE[:1000])
            return
        super().do_GET()


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """A server with the two files of an atlas, and a registry that points to it."""
    root = tmp_path / "origin"
    root.mkdir()
    (root / "atlas.nii.gz").write_bytes(IMAGE)
    (root / "labels.txt").write_bytes(TABLE)

    class Handler(Quiet):
        asked: list[str] = []  # noqa: RUF012

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=root))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    rows = [
        ("Toy", "image", "MNI152NLin6Asym", "atlas.nii.gz", IMAGE),
        ("Toy", "table", "any", "labels.txt", TABLE),
    ]
    registry = pd.DataFrame(
        [
            (*row[:4], f"{address}/{row[3]}", hashlib.sha256(row[4]).hexdigest(), len(row[4]))
            for row in rows
        ],
        columns=["name", "role", "space", "file", "address", "sha256", "bytes"],
    )
    monkeypatch.setattr(atlas_files, "read_registry", lambda: registry)
    monkeypatch.setenv("CONNECTRIAL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield root, Handler, server
    server.shutdown()
    server.server_close()
    thread.join()


def test_right_files_are_kept_and_not_fetched_again(origin, tmp_path):
    _, handler, _ = origin
    steps = []
    paths = fetch_atlas("Toy", progress=lambda *step: steps.append(step))
    assert [path.read_bytes() for path in paths] == [IMAGE, TABLE]
    assert steps == [("atlas.nii.gz", 1, 2), ("labels.txt", 2, 2)]
    assert atlas_folder() == tmp_path / "home" / "atlases"
    assert fetched_file("Toy", "image") == (paths[0], "MNI152NLin6Asym")
    assert len(handler.asked) == 2
    assert fetch_atlas("Toy") == paths
    assert len(handler.asked) == 2  # nothing was asked for again
    elsewhere = fetch_atlas("Toy", to=tmp_path / "mine")
    assert elsewhere[0] == tmp_path / "mine" / "atlas.nii.gz"


def test_a_fetch_that_broke_off_goes_on_where_it_was(origin):
    root, handler, _ = origin
    (root / "labels.txt").rename(root / "away.txt")
    with pytest.raises(InputError, match=r"labels.txt: the address does not give .*HTTP 404"):
        fetch_atlas("Toy")
    (root / "away.txt").rename(root / "labels.txt")
    assert len(fetch_atlas("Toy")) == 2
    assert handler.asked.count("/atlas.nii.gz") == 1


def test_another_file_than_the_published_one_is_not_kept(origin):
    root, _, _ = origin
    (root / "atlas.nii.gz").write_bytes(IMAGE[:-1] + b"!")
    with pytest.raises(InputError, match="what came is not the file that was published"):
        fetch_atlas("Toy")
    assert not list((atlas_folder() / "Toy").iterdir())


def test_a_file_cut_short_is_not_kept(origin):
    root, handler, _ = origin
    handler.cut = True  # fewer bytes than announced
    with pytest.raises(InputError, match="broke off before the file was whole; try again"):
        fetch_atlas("Toy")
    handler.cut = False
    (root / "atlas.nii.gz").write_bytes(IMAGE[:1000])  # fewer bytes, and announced so
    with pytest.raises(InputError, match="cut short"):
        fetch_atlas("Toy")
    assert not list((atlas_folder() / "Toy").iterdir())


def test_a_damaged_file_on_disk_is_named_and_replaced(origin):
    image = fetch_atlas("Toy")[0]
    image.write_bytes(IMAGE[:50])
    with pytest.raises(InputError, match="checksum differs"):
        fetched_file("Toy", "image")
    assert fetch_atlas("Toy")[0].read_bytes() == IMAGE


def test_without_a_network_the_message_says_what_to_do(origin):
    _, _, server = origin
    server.shutdown()
    server.server_close()
    said = r"cannot be reached \(Connection\w*\); fetching needs a network: .* put this file there: .*atlas"
    with pytest.raises(InputError, match=said):
        fetch_atlas("Toy")
    with pytest.raises(InputError, match=r"is not on this machine .* run 'connectrial fetch Toy'"):
        fetched_file("Toy", "image")


def test_a_folder_that_cannot_be_made(origin, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        fetch_atlas("Toy", to=tmp_path / "taken" / "inner")


def test_an_unknown_name(origin):
    with pytest.raises(InputError, match=r"no atlas 'Toi' to fetch; did you mean 'Toy'"):
        fetch_atlas("Toi")


def test_the_image_in_the_scans_space_is_taken():
    registry = atlas_files.read_registry()
    spaces = registry.loc[(registry["name"] == "TianS2") & (registry["role"] == "image"), "space"]
    assert list(spaces) == ["MNI152NLin6Asym", "MNI152NLin2009cAsym"]


def test_checksums_are_those_of_the_originals(connectrial_data):
    """Each original at hand has exactly the bytes that the registry states."""
    registry = atlas_files.read_registry().set_index("file")
    seen = 0
    for path in (connectrial_data / "atlas").iterdir():
        if path.name in registry.index:
            assert (
                hashlib.sha256(path.read_bytes()).hexdigest() == registry.loc[path.name, "sha256"]
            )
            assert path.stat().st_size == registry.loc[path.name, "bytes"]
            seen += 1
    assert seen >= 5
