import pytest

from decig.device.measure.layer_cache import LayerCache, cache_file
from decig.device.run.session import DeviceOptions

ONE, TWO = DeviceOptions(threads=1), DeviceOptions(threads=2)


def test_times_last_from_one_profile_to_the_next(tmp_path):
    file = tmp_path / "deep" / "layers.json"
    cache = LayerCache(ONE, file)
    assert cache.get("a") is None
    cache.put("a", 12.5)
    assert cache.get("a") == 12.5
    assert LayerCache(ONE, file).get("a") is None
    cache.save()
    assert LayerCache(ONE, file).get("a") == 12.5


def test_every_device_has_its_own(tmp_path):
    file = tmp_path / "layers.json"
    for options, us in ((ONE, 10.0), (TWO, 6.0)):
        cache = LayerCache(options, file)
        cache.put("a", us)
        cache.save()
    assert LayerCache(ONE, file).get("a") == 10.0
    assert LayerCache(TWO, file).get("a") == 6.0


def test_two_processes_do_not_forget_each_others_times(tmp_path):
    file = tmp_path / "layers.json"
    first, second = LayerCache(ONE, file), LayerCache(ONE, file)
    first.put("a", 1.0)
    second.put("b", 2.0)
    first.save()
    second.save()
    found = LayerCache(ONE, file)
    assert (found.get("a"), found.get("b")) == (1.0, 2.0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 3}', '{"x": {"a": "fast", "b": -1}}'])
def test_a_damaged_file_is_as_good_as_none(tmp_path, text):
    file = tmp_path / "layers.json"
    file.write_text(text)
    cache = LayerCache(ONE, file)
    assert cache.get("a") is None
    cache.put("a", 1.0)
    cache.save()
    assert LayerCache(ONE, file).get("a") == 1.0


def test_a_folder_that_cannot_be_written_loses_nothing_else(tmp_path):
    (tmp_path / "taken").write_text("")
    cache = LayerCache(ONE, tmp_path / "taken" / "layers.json")
    cache.put("a", 1.0)
    cache.save()
    assert cache.get("a") == 1.0


def test_the_cache_lies_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_file() == tmp_path / "decig" / "layers.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_file() == tmp_path / ".cache" / "decig" / "layers.json"
