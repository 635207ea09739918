"""Every configuration key: its type, default, meaning and the values it accepts.

One frozen dataclass per section; those of the data set are in `schema_data.py`, of network, loss and optimizer in
`schema_model.py`, the top-level keys on which a training's result depends in `schema_recipe.py`, and those of cloud
jobs in `schema_cloud.py`.
`src/utils/config.py` fills them from YAML and the command line; there are no defaults elsewhere.
`Optional[...]` instead of `X | None`: the annotations are evaluated at run time, on Python 3.9 too.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from src.config.protocols import PROTOCOLS, SINGLE_SCALE
from src.config.registry import DATASETS
from src.config.schema_base import (
    EVAL,
    EXPORT,
    PREPROCESS,
    QUANTIZE,
    TRAIN,
    WITH_NETWORK,
    Section,  # noqa: F401 - one name for all sections
    at_least,
    between,
    key,
    not_empty,
    problem_unless,
)
from src.config.schema_cloud import CloudJob
from src.config.schema_data import (  # noqa: F401 - one name for all sections
    Data,
    EvalTransforms,
    TrainTransforms,
    Transform,
)
from src.config.schema_model import Loss, NetArgs, Optimizer  # noqa: F401


@dataclass(frozen=True)
class Config(CloudJob):
    """Everything a run depends on; a top-level key that is not a section doubles as a command-line option."""

    device_target: Optional[str] = key(
        None,
        "device to run on; default: Ascend where MindSpore finds one, else CPU",
        scripts=WITH_NETWORK,
        choices=("Ascend", "GPU", "CPU"),
        run_only=True,
    )
    device_id: Optional[int] = key(
        None,
        "device number; default: DEVICE_ID, then ASCEND_DEVICE_ID, then 0",
        scripts=WITH_NETWORK,
        check=between(0, 2**31 - 1),
        run_only=True,
    )
    ms_mode: int = key(0, "0: graph mode, 1: PyNative mode (for debugging)", scripts=(TRAIN, EVAL), choices=(0, 1))
    num_threads: Optional[int] = key(
        None,
        "threads of the CPU kernels; default: OMP_NUM_THREADS, then all cores",
        scripts=(*WITH_NETWORK, QUANTIZE),
        check=at_least(1),
        may_change=True,
    )
    save_dir: Optional[str] = key(
        None,
        "folder of the results; default a dated one below runs or eval",
        scripts=(TRAIN, EVAL),
        check=not_empty,
        run_only=True,
    )
    eval_parallel: bool = key(
        True,
        "with several processes share out the images to evaluate; False: rank 0 evaluates",
        scripts=(TRAIN, EVAL),
        may_change=True,
    )
    run_profiler: bool = key(
        False,
        "record steps 6 to 15 with MindSpore's profiler, in {save_dir}/profiler",
        scripts=(TRAIN,),
        may_change=True,
    )
    log_interval: int = key(10, "steps between two log lines", scripts=(TRAIN,), check=at_least(1), may_change=True)
    checkpoint_interval: int = key(
        2000, "steps between two checkpoints", scripts=(TRAIN,), check=at_least(1), may_change=True
    )
    keep_checkpoint_max: int = key(
        5,
        "newest checkpoints kept; the best and the last one always stay",
        scripts=(TRAIN,),
        check=at_least(1),
        may_change=True,
    )
    run_eval: bool = key(
        False, "evaluate at every checkpoint (single scale) and keep the best", scripts=(TRAIN,), may_change=True
    )
    eval_protocol: str = key(
        "ss",
        "what run_eval does: ss, whole pictures, or ssc, in windows",
        scripts=(TRAIN,),
        choices=SINGLE_SCALE,
        may_change=True,
    )
    stop_step: Optional[int] = key(
        None,
        "end this run after that step, with a checkpoint; the schedule stays that of total_step",
        scripts=(TRAIN,),
        check=at_least(1),
        run_only=True,
    )
    resume_ckpt: Optional[str] = key(
        None, "checkpoint to continue exactly from", scripts=(TRAIN,), check=not_empty, run_only=True
    )
    finetune_ckpt: Optional[str] = key(
        None, "checkpoint whose weights to start from", scripts=(TRAIN,), check=not_empty, run_only=True
    )
    auto_resume: Optional[bool] = key(
        None,
        "continue from the newest complete checkpoint in save_dir, if there is one, whatever else was given; "
        "default: True with modelarts, else False",
        scripts=(TRAIN,),
        run_only=True,
    )
    checkpoint_path: Optional[str] = key(
        None, "checkpoint to evaluate", scripts=(EVAL,), check=not_empty, run_only=True
    )
    weights: str = key(
        "model",
        "weights of the checkpoint: model, those trained, or ema, their average (of a training with ema_decay)",
        scripts=(EVAL, EXPORT),
        choices=("model", "ema"),
        run_only=True,
    )
    split: str = key(
        "val",
        "val: scores; test: only predicted label ids, of images without labels",
        scripts=(EVAL,),
        choices=("val", "test"),
        run_only=True,
    )
    single_scale: bool = key(False, "quick protocol: sets multi_scale and flip off", scripts=(EVAL,), run_only=True)
    protocols: Optional[tuple[str, ...]] = key(
        None,
        "evaluate by each of ss,ssc,msf,mscf in one run: ss one scale, msf all img_ratios with mirror images, ssc and "
        "mscf the same in windows; default: once, as configured",
        scripts=(EVAL,),
        choices=tuple(PROTOCOLS),
        run_only=True,
    )
    report: Optional[bool] = key(
        None,
        "write report.html, for the browser, to save_dir: in training with each checkpoint, in an evaluation with the "
        "pictures and their errors; default: in training only",
        scripts=(TRAIN, EVAL),
        run_only=True,
    )
    save_images: bool = key(False, "write colour overlays to {save_dir}/images", scripts=(EVAL,), run_only=True)
    save_predictions: Optional[str] = key(
        None,
        "folder for predicted label-id PNGs, named as the Cityscapes evaluation expects",
        scripts=(EVAL,),
        check=not_empty,
        run_only=True,
    )
    checkpoint_file: Optional[str] = key(
        None, "checkpoint to export", scripts=(EXPORT,), check=not_empty, run_only=True
    )
    file_name: str = key(
        "BiSeNetV2",
        "exported file, without its suffix; the .json beside it (.onnx.json for ONNX) describes it",
        scripts=(EXPORT,),
        check=not_empty,
        run_only=True,
    )
    file_format: str = key(
        "MINDIR",
        "format of the export: MINDIR, ONNX (needs requirements/onnx.txt), or AIR on Ascend",
        scripts=(EXPORT,),
        choices=("MINDIR", "ONNX", "AIR"),
        run_only=True,
    )
    fold_bn: bool = key(
        True, "fold batch normalisation into the convolutions of the export", scripts=(EXPORT,), run_only=True
    )
    output: str = key(
        "argmax",
        "what the export returns: argmax, the class map (N, H, W) int32, or logits (N, num_classes, H, W) float32",
        scripts=(EXPORT,),
        choices=("argmax", "logits"),
        run_only=True,
    )
    input: Optional[str] = key(
        None,
        "what the export takes: float32, normalised (N, 3, H, W), or uint8, RGB (N, H, W, 3) as decoded; "
        "default float32, in preprocess.py what the model takes",
        scripts=(EXPORT, PREPROCESS),
        choices=("float32", "uint8"),
        run_only=True,
    )
    image_size: Optional[tuple[int, int]] = key(
        None,
        "height and width of the exported network's input; default Resize.target_size of the evaluation, "
        "in preprocess.py what the model takes",
        scripts=(EXPORT, PREPROCESS),
        check=at_least(32),
        words=("H", "W"),
        run_only=True,
    )
    model_path: Optional[str] = key(
        None,
        "model to prepare inputs for; the .json beside it describes its input",
        scripts=(PREPROCESS,),
        check=not_empty,
        run_only=True,
    )
    output_path: str = key(
        "preprocess_Result",
        "folder for inputs, labels and manifest",
        scripts=(PREPROCESS,),
        check=not_empty,
        run_only=True,
    )
    result_path: Optional[str] = key(
        None,
        "folder with results of the inputs to be replaced: those results are removed",
        scripts=(PREPROCESS,),
        check=not_empty,
        run_only=True,
    )

    def problems(self) -> list[str]:
        data, classes = self.data, self.num_classes
        problems = data.label_map_problems(classes) + problem_unless(
            data.ignore_label >= classes,
            "data.ignore_label",
            f"{data.ignore_label} is one of the {classes} classes; take a value outside 0..{classes - 1}, e.g. 255",
        )
        dataset = DATASETS[data.name]
        problems += problem_unless(
            len(dataset.classes) in (0, classes),
            "num_classes",
            f"{dataset.title} has {len(dataset.classes)}, got {classes}; other data: data.name=generic",
        )
        for name in ("map_label", "class_names"):
            values = getattr(data, name)
            problems += problem_unless(
                values is None or len(values) == classes, f"data.{name}", f"needs num_classes = {classes} entries"
            )
        problems += problem_unless(
            self.batch_size >= 2 or self.net_args.freeze_bn,
            "batch_size",
            "must be at least 2: the context embedding normalises over one value an image and channel; got 1",
        )
        for name in ("data_url", "train_url", "checkpoint_url"):
            problems += problem_unless(self.modelarts or getattr(self, name) is None, name, "needs --modelarts True")
        problems += problem_unless(
            self.split == "val" or self.save_predictions is not None,
            "save_predictions",
            "required with --split test: the folder for the predicted label-id PNGs",
        )
        problems += self._protocol_problems()
        end, last = self.stop_step, self.total_step
        problems += problem_unless(
            end is None or end <= last, "stop_step", f"must not exceed total_step = {last}, got {end}"
        )
        return problems + problem_unless(
            not (self.resume_ckpt and self.finetune_ckpt),
            "resume_ckpt",
            "excludes finetune_ckpt: continue or start anew",
        )

    @property
    def folder(self) -> Path:
        """The folder of the results, which a run has from `set_up_run` on."""
        assert self.save_dir is not None
        return Path(self.save_dir)

    def _protocol_problems(self) -> list[str]:
        names = self.protocols
        if names is None:
            return []
        problems = problem_unless(len(names) > 0, "protocols", "needs at least one name")
        problems += problem_unless(len(set(names)) == len(names), "protocols", f"names one twice: {', '.join(names)}")
        problems += problem_unless(
            not self.single_scale, "protocols", "excludes single_scale: ss and ssc are single-scale"
        )
        return problems + problem_unless(
            self.split != "test" or len(names) < 2, "protocols", "must be one with --split test, which has no scores"
        )
