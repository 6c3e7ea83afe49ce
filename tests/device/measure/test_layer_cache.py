import pytest

from decig.device.measure.layer_cache import LayerCache, cache_file
from decig.device.run.device import Device

ONE, TWO = Device.of(threads=1), Device.of(threads=2)


def test_times_last_from_one_profile_to_the_next(tmp_path):
    file = tmp_path / "deep" / "layers.json"
    cache = LayerCache(ONE, file)
    assert cache.get("a") is None
    assert cache.put("a", 12.5, 0.1) == 12.5
    assert cache.get("a") == 12.5
    assert LayerCache(ONE, file).get("a") is None
    cache.save()
    assert LayerCache(ONE, file).get("a") == 12.5


def test_every_device_has_its_own(tmp_path):
    file = tmp_path / "layers.json"
    for device, us in ((ONE, 10.0), (TWO, 6.0)):
        cache = LayerCache(device, file)
        cache.put("a", us, 0.0)
        cache.save()
    assert LayerCache(ONE, file).get("a") == 10.0
    assert LayerCache(TWO, file).get("a") == 6.0


def test_two_processes_do_not_forget_each_others_times(tmp_path):
    file = tmp_path / "layers.json"
    first, second = LayerCache(ONE, file), LayerCache(ONE, file)
    first.put("a", 1.0, 0.0)
    second.put("b", 2.0, 0.0)
    first.save()
    second.save()
    found = LayerCache(ONE, file)
    assert (found.get("a"), found.get("b")) == (1.0, 2.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"x": 3}',
        '{"x": {"a": "fast", "b": -1}}',
        '{"x": {"a": {"us": -1, "spread_us": 0, "day": 1}}}',
    ],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path, text):
    file = tmp_path / "layers.json"
    file.write_text(text)
    cache = LayerCache(ONE, file)
    assert cache.get("a") is None
    cache.put("a", 1.0, 0.0)
    cache.save()
    assert LayerCache(ONE, file).get("a") == 1.0


def timed(file, us, spread_us, *, today=20_000):
    """Time a layer once, if it must be timed, as another profile does; what stands then."""
    cache = LayerCache(ONE, file, today=today)
    known = cache.get("a")
    if known is None:
        known = cache.put("a", us, spread_us)
        cache.save()
    return known


def test_a_noisy_time_is_measured_again_and_the_quickest_stands(tmp_path):
    file = tmp_path / "layers.json"
    assert timed(file, 1000.0, 300.0) == 1000.0
    assert timed(file, 900.0, 300.0) == 900.0
    assert timed(file, 950.0, 300.0) == 900.0
    assert timed(file, 1.0, 0.0) == 900.0  # enough of it


def test_a_steady_time_stands_before_noisy_ones(tmp_path):
    file = tmp_path / "layers.json"
    assert timed(file, 1000.0, 300.0) == 1000.0
    assert timed(file, 1100.0, 20.0) == 1100.0
    assert timed(file, 1.0, 0.0) == 1100.0


def test_what_is_short_is_never_steady_and_needs_not_be(tmp_path):
    file = tmp_path / "layers.json"
    assert timed(file, 20.0, 8.0) == 20.0
    assert timed(file, 1.0, 0.0) == 20.0


@pytest.mark.parametrize("days", [91, -1])
def test_a_time_expires(tmp_path, days):
    file = tmp_path / "layers.json"
    assert timed(file, 1000.0, 0.0) == 1000.0
    assert timed(file, 2000.0, 0.0, today=20_090) == 1000.0
    assert timed(file, 2000.0, 0.0, today=20_000 + days) == 2000.0


def test_the_same_process_times_a_noisy_layer_once(tmp_path):
    cache = LayerCache(ONE, tmp_path / "layers.json")
    cache.put("a", 1000.0, 300.0)
    assert cache.get("a") == 1000.0


def test_noisy_times_of_two_processes_count_as_two(tmp_path):
    file = tmp_path / "layers.json"
    both = [LayerCache(ONE, file, today=20_000) for _ in range(2)]
    for cache, us in zip(both, (1000.0, 900.0), strict=True):
        cache.put("a", us, 300.0)
        cache.save()
    assert timed(file, 950.0, 300.0) == 900.0
    assert timed(file, 1.0, 0.0) == 900.0


def test_a_folder_that_cannot_be_written_loses_nothing_else(tmp_path):
    (tmp_path / "taken").write_text("")
    cache = LayerCache(ONE, tmp_path / "taken" / "layers.json")
    cache.put("a", 1.0, 0.0)
    cache.save()
    assert cache.get("a") == 1.0


def test_the_cache_lies_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "decig" / "layers.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_file() == tmp_path / ".cache" / "decig" / "layers.json"


def test_who_has_no_home_has_no_cache(monkeypatch):
    """As in a container whose user stands in no list."""

    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", fail)
    assert cache_file() is None
    cache = LayerCache(ONE)
    assert cache.get("a") is None and cache.put("a", 1.0, 0.0) == 1.0
    cache.save()
    assert cache.get("a") == 1.0
