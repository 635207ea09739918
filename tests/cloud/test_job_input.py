"""What the URLs and arguments of a cloud job become in the configuration."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from src.base.errors import ConfigError, UserError
from src.config.schema_base import EVAL, EXPORT, TRAIN
from src.utils import local_adapter, modelarts
from src.utils.config import parse_config
from tests.cloud_helpers import fill, tarred


class TestBegin:
    """Where each URL of a job ends up in the configuration, and what is refused."""

    @pytest.fixture(autouse=True)
    def _job(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(modelarts, "_upload", None)
        monkeypatch.setattr(modelarts, "setup_logging", lambda *arguments: None)
        monkeypatch.setenv("HCCL_CONNECT_TIMEOUT", "600")
        monkeypatch.setenv("MS_TOPO_TIMEOUT", "600")
        handler = signal.getsignal(signal.SIGTERM)
        yield
        assert os.environ["HCCL_CONNECT_TIMEOUT"] == "600"  # what the user set
        signal.signal(signal.SIGTERM, handler)

    def begin(self, *words: str, script: str = TRAIN):
        return modelarts.begin(parse_config(["--modelarts", "True", *words], script), script)

    def test_the_folder_that_holds_the_data_is_found(self, bucket, tmp_path):
        for folder in ("here", "above/below", "listed", "two/a", "two/b", "deep/a/b"):
            (tmp_path / folder / "leftImg8bit").mkdir(parents=True)
        (tmp_path / "listed" / "leftImg8bit").rename(tmp_path / "listed" / "images")
        (tmp_path / "listed" / "train.lst").touch()
        (tmp_path / "above" / ".trash" / "leftImg8bit").mkdir(parents=True)
        (tmp_path / "unlabelled").mkdir()
        (tmp_path / "unlabelled" / "test.lst").touch()
        folders = {"here": "here", "above": "above/below", "listed": "listed", "unlabelled": "unlabelled"}
        for url, found in folders.items():
            assert self.begin("--data_url", url).data.dataset_dir == found
        with pytest.raises(UserError, match=r"--data_url two: several data sets in it \(a, b\); name one of them"):
            self.begin("--data_url", "two")
        with pytest.raises(
            UserError, match="none of leftImg8bit, train.lst, val.lst, test.lst in it, one level below, or in an"
        ):
            self.begin("--data_url", "deep")

    def test_archives_on_a_mounted_folder_are_left_there(self, bucket, tmp_path, monkeypatch):
        monkeypatch.setenv("MA_JOB_DIR", str(tmp_path / "job"))
        (tmp_path / "mounted").mkdir()
        (tmp_path / "job").mkdir()
        path = tarred(tmp_path / "mounted" / "city.tar", {"city/leftImg8bit/a": b"1", "city/gtFine/a": b"2"})
        (tmp_path / "mounted" / "._city.tar").write_bytes(b"of a Mac")
        for url in ("mounted", "mounted/city.tar"):  # the folder, the file
            root = Path(self.begin("--data_url", url).data.dataset_dir)
            assert root.name == "city"
            assert tmp_path / "mounted" not in root.parents
            assert (root / "gtFine" / "a").read_bytes() == b"2"
        assert path.exists()
        fill(bucket, {"city.tar": path.read_bytes()})
        root = Path(self.begin("--data_url", "obs://b/city.tar").data.dataset_dir)
        assert (root / "leftImg8bit" / "a").read_bytes() == b"1"

    def test_the_newest_checkpoint_of_a_folder(self, bucket):
        names = ("BiSeNetV2_9_rank0.ckpt", "BiSeNetV2_10_rank0.ckpt", "BiSeNetV2_best.ckpt")
        fill(bucket / "run" / "checkpoints", dict.fromkeys(names, b"1"))
        fill(bucket / "named", {"old.ckpt": b"1", "new.ckpt": b"22", ".x.partial.ckpt": b"", "notes.txt": b""})
        os.utime(bucket / "named" / "old.ckpt", (1, 1))
        os.utime(bucket / "named" / "new.ckpt", (2, 2))
        for folder, name in (("run", names[1]), ("run/checkpoints", names[1]), ("named", "new.ckpt")):
            assert self.begin("--ckpt_url", f"{bucket}/{folder}").finetune_ckpt.endswith(f"/{name}")
            fetched = Path(self.begin("--checkpoint_url", f"obs://b/{folder}/").finetune_ckpt)
            assert fetched.name == name
            assert fetched.read_bytes() == (b"22" if name == "new.ckpt" else b"1")
        assert self.begin("--checkpoint_url", f"{bucket}/run", script=EXPORT).checkpoint_file.endswith(names[1])

    def test_results_of_an_earlier_run_come_back(self, bucket):
        fill(bucket / "out", {"metrics.jsonl": b"{}", "checkpoints/BiSeNetV2_2_rank0.ckpt": b"w", "huge.zip": b"no"})
        save_dir = Path(self.begin("--train_url", "obs://b/out").save_dir)
        files = sorted(path.relative_to(save_dir).as_posix() for path in save_dir.rglob("*") if path.is_file())
        assert files == ["checkpoints/BiSeNetV2_2_rank0.ckpt", "metrics.jsonl"]
        fill(save_dir, {"only_here": b"1"})  # its upload failed
        assert Path(self.begin("--train_url", "obs://b/out").save_dir) == save_dir
        assert not (save_dir / "only_here").exists()
        (kept,) = save_dir.parent.glob("output-until-*")
        assert (kept / "only_here").read_bytes() == b"1"

    @pytest.mark.parametrize("name", ["city.v2", "city.v2.mindir", "models/city"])
    def test_an_export_of_the_same_name_is_noticed(self, bucket, name):
        fill(bucket / "out", {"city.v2.mindir": b"1", "models/city.json": b"2", "logs/rank_0.log": b"3"})
        with pytest.raises(ConfigError, match="exists already; take another --file_name or --train_url"):
            self.begin("--train_url", "obs://b/out", "--file_name", name, script=EXPORT)
        config = self.begin("--train_url", "obs://b/out", "--file_name", "city", script=EXPORT)
        assert config.file_name == f"{config.save_dir}/city"
        assert [path.name for path in Path(config.save_dir).iterdir()] == ["logs"]  # to be continued

    def test_an_evaluation_that_is_there_is_noticed(self, bucket):
        fill(bucket / "out", {"eval.json": b"1", "predictions/a.png": b"2", "config.yml": b"3"})
        with pytest.raises(ConfigError, match="--train_url obs://b/out holds an evaluation already"):
            self.begin("--train_url", "obs://b/out", script=EVAL)
        (bucket / "out" / "eval.json").unlink()
        with pytest.raises(ConfigError, match="obs://b/out/predictions is not empty"):
            self.begin("--train_url", "obs://b/out", "--save_predictions", "predictions", script=EVAL)
        config = self.begin("--train_url", "obs://b/out", "--save_predictions", "others", script=EVAL)
        assert config.save_predictions == f"{config.save_dir}/others"
        assert (Path(config.save_dir) / "config.yml").read_bytes() == b"3"  # a new one gets another name

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--data_url", "/none"], "--data_url /none: no such file or folder"),
            (["--data_url", "obs://b/none"], "obs://b/none: nothing there"),
            (["--checkpoint_url", "obs://b/none"], "--checkpoint_url obs://b/none: nothing there"),
            (["--checkpoint_url", "/none"], r"--checkpoint_url /none: no such file, and no folder with \*.ckpt"),
            (
                ["--checkpoint_url", "a", "--finetune_ckpt", "b"],
                "--checkpoint_url stands for --finetune_ckpt",
            ),
            (["--checkpoint_url", "a", "--resume_ckpt", "b"], "--checkpoint_url excludes --resume_ckpt"),
            (["--train_url", "a", "--save_dir", "b"], "--train_url stands for --save_dir: give one of them"),
            (["--train_url", "a", "--modelarts", "False"], "train_url: needs --modelarts True"),
            (["--modelarts", "maybe"], "modelarts: expected True or False"),
        ],
    )
    def test_what_cannot_be(self, bucket, words, message):
        with pytest.raises((UserError, ConfigError), match=message):
            self.begin(*words)

    def test_options_of_the_platform(self, caplog):
        words = ["--foo=1", "--bar", "x=y", "baz", "optimizer.lr_init=0.5", "--total_step", "7", "--totl_step", "8"]
        config = self.begin(*words, "optimzer.lr_init=0.1")
        assert (config.optimizer.lr_init, config.total_step) == (0.5, 7)
        lines = [record.message for record in caplog.records if "ignored" in record.message]
        assert lines == [
            "ignored: unknown option --totl_step; did you mean '--total_step'?",
            "ignored: optimzer.lr_init: unknown key; did you mean 'optimizer'?",
            "arguments that were ignored: --foo=1 --bar x=y baz --totl_step 8 optimzer.lr_init=0.1",
        ]
        for word in ("--foo=1", "baz"):
            with pytest.raises(ConfigError):
                parse_config([word], TRAIN)
        with pytest.raises(ConfigError, match="optimizer.lr: unknown key"):  # a section that is known
            self.begin("optimizer.lr=1")

    def test_a_configuration_of_the_repository_is_found_from_elsewhere(self, tmp_path):
        assert parse_config(["--config", "config/bisenetv2_demo.yml"], TRAIN).total_step == 700
        (tmp_path / "config").mkdir()
        text = f"__BASE__: {Path(modelarts.__file__).parents[2] / 'config' / 'bisenetv2_demo.yml'}\ntotal_step: 3\n"
        (tmp_path / "config" / "bisenetv2_demo.yml").write_text(text)
        assert parse_config(["--config", "config/bisenetv2_demo.yml"], TRAIN).total_step == 3  # one's own comes first

    def test_where_a_job_fetches_to(self, tmp_path, monkeypatch):
        monkeypatch.delenv("MA_JOB_DIR", raising=False)
        assert local_adapter.scratch_folder(tmp_path / "cache") == tmp_path / "cache"  # below the working directory
        (tmp_path / "job").mkdir()
        monkeypatch.setenv("MA_JOB_DIR", str(tmp_path / "job"))
        assert local_adapter.scratch_folder(tmp_path / "missing") == tmp_path / "job"
        (tmp_path / "platform").mkdir()
        assert local_adapter.scratch_folder(tmp_path / "platform") == tmp_path / "platform"
