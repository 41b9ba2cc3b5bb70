"""What deploy/ says of the app holds: the locks are of what is required, and the image has all that runs."""

import re
from pathlib import Path

import pytest
import yaml
from streamlit import config

from deploy import lock
from explorer.ui.session import MOST_SAVED_BYTES
from explorer.ui.transport import uploads, visitors
from tests import image
from tests.browser import ROOT
from tests.test_installed import TOP, tracked

DEPLOY = ROOT / "deploy"
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}$")


def locked(name: str) -> dict[str, str]:
    """The version of each package of a lock, each of which has to have a hash."""
    text = (DEPLOY / name).read_text()
    found = {}
    for entry in lock.entries(text):
        pinned, *hashes = entry.removesuffix("\n").split(" \\\n")
        assert hashes and all(HASH.match(line) for line in hashes), pinned
        package, version = pinned.split("==")
        assert package not in found
        found[package] = version
    assert len(found) == text.count("==")  # nothing in it was passed over
    return found


def required() -> dict[str, str]:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize("torch", ["torch.lock", "torch-cpu.lock"])
def test_whatever_is_required_is_locked_at_that_version_and_by_hash(torch: str) -> None:
    both = locked("requirements.lock"), locked(torch)
    assert not both[0].keys() & both[1].keys()
    found = {name: version.split("+")[0] for name, version in (both[0] | both[1]).items()}
    assert required().items() <= found.items()


def test_a_lock_names_no_place() -> None:
    for name in ("requirements.lock", "torch.lock", "torch-cpu.lock"):
        assert not re.search(r"://|--index|--find-links|@", (DEPLOY / name).read_text())


def test_without_cuda_nothing_of_cuda_is_locked() -> None:
    assert not [name for name in locked("requirements.lock") if lock.OF_TORCH.match(f"{name}==")]
    assert list(locked("torch-cpu.lock")) == ["torch"]


def test_the_image_is_given_what_the_app_is_made_of_and_nothing_else() -> None:
    """By the same list as pip is."""
    copied = image.copied()
    assert all((ROOT / name).exists() for name in copied)
    runs = ("explorer/", "vqvae/", *TOP)
    inside = {name for name in tracked() for place in copied if name == place or name.startswith(f"{place}/")}
    assert inside == {name for name in tracked() if name.startswith(runs)}
    given = {line[1:] for line in ignored() if line.startswith("!")}
    assert given == {*copied, "deploy/*.lock"}
    assert "checkpoints/*/training.safetensors" in ignored()


def ignored() -> list[str]:
    return (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()


def test_files_that_the_image_is_built_of_are_there() -> None:
    sources = re.findall(r"^COPY (?!--)(.+) \S+$", image.DOCKERFILE, re.MULTILINE)
    assert all((ROOT / name).exists() for words in sources for name in words.split())
    for volume in image.composed()["services"]["proxy"]["volumes"]:
        assert (DEPLOY / volume.split(":")[0]).is_file()


def test_the_app_runs_as_no_one_and_may_write_to_its_cache_alone() -> None:
    assert re.search(r"^USER (?!0$|root$)", image.DOCKERFILE, re.MULTILINE)
    for service in image.composed()["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        writable = [volume for volume in service.get("volumes", ()) if not volume.endswith(":ro")]
        assert writable in (["cache:/cache"], [])


def test_what_libraries_keep_is_kept_in_the_cache() -> None:
    """umap cannot be imported where numba finds no folder to write to."""
    environment = image.environment_of_image()
    assert all(environment[name].startswith("/cache") for name in ("HOME", "NUMBA_CACHE_DIR", "VQVAE_EXPLORER_CACHE"))
    assert "VOLUME /cache" in image.DOCKERFILE.splitlines()


def test_each_setting_of_streamlits_is_one_that_it_has() -> None:
    said = image.environment_of_image() | image.composed()["services"]["app1"]["environment"]
    known = {option.env_var for option in config.get_config_options().values()}
    assert [name for name in said if name.startswith("STREAMLIT_") and name not in known] == []
    known_here = set(re.findall(r"VQVAE_EXPLORER_[A-Z_]+", "".join(map(Path.read_text, sources()))))
    assert [name for name in said if name.startswith("VQVAE_") and name not in known_here] == []


def sources() -> list[Path]:
    return [ROOT / name for name in tracked() if name.startswith(("explorer/", "vqvae/")) and name.endswith(".py")]


def test_uploads_on_their_way_have_a_disk_of_their_own_that_holds_them_all() -> None:
    service = image.composed()["services"]["proxy"]
    disks = dict(entry.split(",")[0].split(":size=") for entry in service["tmpfs"])
    script, settings = ((DEPLOY / name).read_text() for name in ("proxy.sh", "nginx.conf.template"))
    (most,) = re.findall(r"ALL_UPLOADS:=(\d+)", script)
    (megabytes,) = re.findall(r"client_max_body_size (\d+)m;", settings)
    assert service["environment"]["BODIES"] in disks.keys() - {service["environment"]["STATE"]}
    assert int(most) * int(megabytes) << 20 <= size(disks["/bodies"])
    assert config.get_option("server.maxUploadSize") < int(megabytes)


def test_a_process_has_memory_for_as_many_visitors_as_it_takes_whatever_they_do() -> None:
    """By the bounds of a session, as deploy/README.md adds them up."""
    service = image.composed()["services"]["app1"]
    said, process, last_message = service["environment"], 512 << 20, 25 << 20
    (disk,) = service["tmpfs"]
    visitor = visitors.MOST_ENGINE_BYTES + MOST_SAVED_BYTES + last_message
    assert visitor == 121 << 20
    taken = process + size(disk.split("size=")[1]) + int(said[uploads.MOST_BYTES])
    assert taken + int(said[visitors.MOST_VISITORS]) * visitor <= size(service["mem_limit"])


def size(text: str) -> int:
    """In bytes, of what compose.yaml says."""
    return int(text[:-1]) << {"m": 20, "g": 30}[text[-1]]


def test_the_proxy_knows_where_each_process_is() -> None:
    services = image.composed()["services"]
    places = [
        f"{service['networks']['inside']['ipv4_address']}:{image.environment_of_image()['STREAMLIT_SERVER_PORT']}"
        for name, service in services.items()
        if name.startswith("app")
    ]
    assert services["proxy"]["environment"]["SERVERS"].split() == places
    assert len(set(places)) == len(places) == 3
    assert yaml.safe_load(image.COMPOSE.read_text())["networks"]["inside"]["internal"] is True
