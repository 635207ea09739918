"""The scheduler of a job on the CPU: the process that connects the ranks. It does not train.

Started as ``python -m src.launch.scheduler_process`` with MS_ROLE=MS_SCHED, MS_SCHED_HOST, MS_SCHED_PORT and
MS_WORKER_NUM, see `src/distributed/scheduler.py`. The scheduler of msrun ends after the ranks.
"""

from __future__ import annotations

import signal

from src.distributed.child_process import end_with_parent
from src.utils.local_adapter import init_cluster, set_device

if __name__ == "__main__":
    end_with_parent(signal.SIGKILL)
    import mindspore as ms

    set_device("CPU", 0)
    ms.set_context(mode=ms.GRAPH_MODE)  # MindSpore 2.0 connects processes in graph mode only
    init_cluster()  # some versions end the process here once the job is over
