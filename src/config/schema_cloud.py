"""The configuration keys of cloud jobs; part of `src/config/schema.py`."""

from dataclasses import dataclass
from typing import Optional

from src.config.schema_base import WITH_NETWORK, key, not_empty, positive
from src.config.schema_recipe import Recipe


@dataclass(frozen=True)
class CloudJob(Recipe):
    """Whether a run is a ModelArts job, and where its input and output are."""

    modelarts: bool = key(
        False,
        "run as a ModelArts job: options it does not know are logged and ignored, the three URLs are understood",
        scripts=WITH_NETWORK,
        run_only=True,
    )
    data_url: Optional[str] = key(
        None,
        "with modelarts: what data.dataset_dir is fetched from; folder or archives; obs://, s3:// or a mounted path",
        scripts=WITH_NETWORK,
        check=not_empty,
        run_only=True,
    )
    train_url: Optional[str] = key(
        None,
        "with modelarts: where the results go; a mounted path is save_dir itself",
        scripts=WITH_NETWORK,
        check=not_empty,
        run_only=True,
    )
    checkpoint_url: Optional[str] = key(
        None,
        "with modelarts: the checkpoint to fine-tune from, to evaluate or to export; a folder means the newest in it",
        scripts=WITH_NETWORK,
        check=not_empty,
        run_only=True,
    )
    transfer_timeout: float = key(
        7200.0,
        "with modelarts: seconds after which a download or the last upload is given up",
        scripts=WITH_NETWORK,
        check=positive,
        may_change=True,
    )
