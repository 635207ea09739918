"""Settings for all tests."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# MindSpore's threads wait for work by spinning: several test processes with a thread for every core are in each
# other's way. Before NumPy and MindSpore load; the processes that a test starts have it, too.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = len(os.sched_getaffinity(0)) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))

from src.base import cores  # noqa: E402
from src.cloud import object_store  # noqa: E402
from src.utils import local_adapter  # noqa: E402
from tests import cloud_helpers, run_helpers, runner_helpers  # noqa: E402

local_adapter.cap_onednn()  # before any test runs a network

# Files that are the same whatever MindSpore is installed: their tests neither import it nor start what does, or start
# every version themselves, or are about the C++ runner or ONNX Runtime, for which it does nothing but export, about the
# benchmark, which is no part of the product, or about the demo, which runs in .venv wherever it is started from.
WITHOUT_MINDSPORE = (
    "test_benchmark_memory",
    "test_benchmark_pipeline",
    "test_benchmark_run",
    "test_benchmark_runtimes",
    "test_bases",
    "test_loading",
    "test_check_dataset",
    "test_check_requirements",
    "test_claims",
    "test_summary",
    "test_cityscapes",
    "test_cloud",
    "test_config",
    "test_contract",
    "test_cores",
    "test_curves",
    "test_demo",
    "test_demo_dataset",
    "test_descriptions",
    "test_eval_samples",
    "test_hidden_and_special",
    "test_image_files",
    "test_job_end",
    "test_job_input",
    "test_launch",
    "test_lite",
    "test_lite_conversion",
    "test_logger",
    "test_metrics",
    "test_mirror",
    "test_official_evaluation",
    "test_onnx_model",
    "test_picture_sizes",
    "test_placement",
    "test_postprocess",
    "test_prefetch",
    "test_preflight",
    "test_preprocess",
    "test_quantize_onnx",
    "test_quantizing",
    "test_readme",
    "test_resize",
    "test_run_tests",
    "test_runner_build",
    "test_runner_program",
    "test_temporary",
    "test_tiny_dataset",
    "test_transforms",
    "test_versions",
    "test_visualize",
    "test_browser",
    "test_page",
    "test_report_pictures",
    "test_report_runs",
    "test_score_records",
)
# The files that take longest, which come first so that no process is left with one of them in the end. Those with
# jobs of several ranks (see `only_job`) stand apart, so that no process waits for another one's.
LONGEST = (
    "test_distributed",
    "test_end_to_end",
    "test_versions",
    "test_benchmark_run",
    "test_demo",
    "test_offline_chain",
    "test_ascend_audit",
    "test_device_check_runs",
    "test_runner_program",
    "test_modelarts",
    "test_train_cell",
    "test_keys_are_read",
    "test_export",
)


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    """Mark what each MindSpore has to pass, and put the longest files first."""
    for item in items:
        if item.path.stem not in WITHOUT_MINDSPORE and not item.get_closest_marker("once"):
            item.add_marker(pytest.mark.mindspore)
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))  # stable: the order within a file stays


def pytest_collection_finish():
    """Let networks that tests run themselves use as many threads as a script's, and no queues in PyNative mode.

    The threads behind those queues wait for work by spinning as well, which more than doubles the time of a test.
    """
    if "mindspore" not in sys.modules:
        return
    import mindspore as ms

    local_adapter.set_cpu_threads(cores.usable_threads())
    if hasattr(ms, "runtime"):  # 2.5 and later
        ms.runtime.launch_blocking()
    else:
        ms.set_context(pynative_synchronize=True)


@pytest.fixture(scope="module", autouse=True)
def _pynative_mode():
    """Let every file begin in PyNative mode, which compiles nothing, whatever the default of the version is.

    A test of what is compiled asks for graph mode, which holds to the end of its file.
    """
    if "mindspore" in sys.modules:
        import mindspore as ms

        ms.set_context(mode=ms.PYNATIVE_MODE)


@pytest.fixture
def graph_mode():
    """Compile what runs, as scripts do; MindSpore 2.0 runs a MindIR in no other mode."""
    import mindspore as ms

    ms.set_context(mode=ms.GRAPH_MODE)


@pytest.fixture(autouse=True)
def _remove_log_handlers():
    """Leave no handler of `setup_logging` to the next test."""
    yield
    root = logging.getLogger()
    for handler in [h for h in root.handlers if (h.get_name() or "").startswith("bisenetv2")]:
        root.removeHandler(handler)
        handler.close()


@pytest.fixture(scope="module")
def only_job() -> Iterator[None]:
    """Start several ranks while no other test process does: two jobs at once on a host get into MindSpore 2.0's way."""
    with runner_helpers.locked("job.lock"):
        yield


@pytest.fixture(scope="session")
def two_rank_graphs(tmp_path_factory) -> dict[str, str]:
    """The variables for jobs of two ranks with `SETTINGS_OF_RANKS` and `tiny_options`, which compile the same.

    All test processes share them; `only_job` keeps one from reading what another one is writing.
    """
    base = tmp_path_factory.getbasetemp()
    return run_helpers.keep_graphs((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "two-rank-graphs")


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A checkpoint with the seeded weights of the golden values; nobody writes to it or beside it."""
    from tests.offline_helpers import write_checkpoint  # loads MindSpore

    return write_checkpoint(tmp_path_factory.mktemp("weights") / "seeded.ckpt")


@pytest.fixture(scope="session")
def mindspore_api() -> Path:
    """A folder with headers and libraries of MindSpore 2.0.0's C++ API."""
    runner_helpers.require_compiler()
    return runner_helpers.fetch_api()


@pytest.fixture(scope="session")
def stand_in(mindspore_api) -> runner_helpers.Programs:
    """The stand-in for libmindspore.so, and the C++ runner built for it."""
    return runner_helpers.build_stand_in_programs(mindspore_api)


@pytest.fixture(scope="session")
def lite() -> runner_helpers.Programs:
    """The real MindSpore Lite, and the C++ runner built for it."""
    runner_helpers.require_compiler()
    return runner_helpers.build_lite_programs(runner_helpers.fetch_lite())


@pytest.fixture
def bucket(tmp_path, monkeypatch) -> Path:
    """Make ``obs://b`` a folder, and its `moxing` importable; retries do not wait."""
    monkeypatch.syspath_prepend(str(cloud_helpers.REPLACEMENT))
    for name in ("moxing", "moxing.file"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setenv("FAKE_BUCKETS", str(tmp_path / "buckets"))
    monkeypatch.setenv("FAKE_MOXING_LOG", str(tmp_path / "moxing.log"))
    monkeypatch.setattr(object_store, "WAITS", (0, 0, 0))
    folder = tmp_path / "buckets" / "b"
    folder.mkdir(parents=True)
    return folder
