"""The functions of moxing.file that are documented, between folders; see the package."""

import json
import os
import threading
import time
from collections import Counter, namedtuple
from pathlib import Path

_lock, _seen = threading.Lock(), Counter()
Stat = namedtuple("Stat", "length mtime_nsec is_directory")


def _path(url):
    for scheme in ("obs://", "s3://"):
        if url.startswith(scheme):
            return Path(os.environ["FAKE_BUCKETS"]) / url[len(scheme) :]
    return Path(url)


def _rule(call, *urls):
    """Note the call; return how it has to go wrong, or None."""
    with _lock, Path(os.environ["FAKE_MOXING_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{os.getpid()} {call} {' '.join(urls)}\n")
        for number, rule in enumerate(json.loads(os.environ.get("FAKE_MOXING", "[]"))):
            if rule["call"] == call and any(rule.get("match", "") in url for url in urls):
                _seen[number] += 1
                if _seen[number] <= rule.get("times", 10**9):
                    return rule["how"]
    return None


def _act(how):
    if how == "fail":
        raise OSError("the network said no")
    if how in ("stall", "slow"):
        time.sleep(3600 if how == "stall" else 3)


def exists(url):
    return _path(url).exists()


def is_directory(url):
    return _path(url).is_dir()


def list_directory(url, recursive=False):
    root = _path(url)
    return [str(path.relative_to(root)) for path in (root.rglob("*") if recursive else root.iterdir())]


def get_size(url, recursive=False):
    root = _path(url)
    return root.stat().st_size if root.is_file() else sum(p.stat().st_size for p in root.rglob("*") if p.is_file())


def stat(url):
    status = _path(url).stat()
    return Stat(status.st_size, status.st_mtime_ns, _path(url).is_dir())


def remove(url):
    _rule("remove", url)
    _path(url).unlink()


def _copy(source, target, how):
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    target.write_bytes(data[: len(data) // 2] if how == "truncate" else data)


def copy(source, target):
    how = _rule("copy", source, target)
    _act(how)
    _copy(_path(source), _path(target), how)


def copy_parallel(source, target):
    how = _rule("copy_parallel", source, target)
    _act(how)
    root = _path(source)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for path in files[: len(files) // 2] if how == "partial" else files:
        _copy(path, _path(target) / path.relative_to(root), how)
