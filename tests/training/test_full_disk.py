import dataclasses
import json
import sys
from pathlib import Path

from tests.restricted import in_a_namespace
from tests.training.conftest import MakeTokens
from waman import settings
from waman.artifact import Artifact
from waman.model.config import ModelConfig
from waman.model.recipe import Float32
from waman.training.recipe import EverySteps, PretrainRecipe

# Trains on a disk of 1 MiB, which something else fills after step 8; then frees it and runs the same command again.
SCRIPT = """
import dataclasses, json, logging, subprocess, sys, torch
from pathlib import Path
folder, disk = Path(sys.argv[1]), Path(sys.argv[2])
mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)])
if mounted.returncode:
    sys.exit(77)
torch.set_num_threads(1)
from waman import settings
from waman.artifact import Artifact, open_input
from waman.errors import WamanError
from waman.training.pretrain import pretrain
from waman.training.recipe import PretrainRecipe

logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
recipe = settings.load(PretrainRecipe, folder / "recipe.toml")
tokens = Artifact(folder / "tokens", "tokens", "tokens of the test")
tokenizer = open_input(folder / "tokenizer")
ballast, run = disk / "ballast", disk / "run"

def fill(info):
    if info.step == 8:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(512))
            except OSError:
                pass

def report(**found):
    print("REPORT " + json.dumps(found))

try:
    pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=run, after_step=fill)
except WamanError as error:
    partial = disk / "run.partial"
    report(
        error=type(error).__name__,
        exit_code=error.exit_code,
        message=str(error),
        checkpoints=sorted(path.name for path in (partial / "checkpoints").iterdir()),
        whole_lines=[json.loads(line)["step"] for line in (partial / "metrics.jsonl").read_text().splitlines()],
        final=(disk / "run").exists(),
    )
ballast.unlink()
pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=run)
report(
    checkpoints=sorted(path.name for path in (run / "checkpoints").iterdir()),
    whole_lines=[json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()],
    weights=(run / "final" / "model.safetensors").read_bytes().hex(),
)
"""


def test_on_a_full_disk_the_last_good_checkpoint_is_kept_and_training_goes_on_to_exit_2(
    tiny_model: ModelConfig, make_tokens: MakeTokens, tokenizer: Artifact, tmp_path: Path
) -> None:
    recipe = PretrainRecipe(
        model=dataclasses.replace(tiny_model, num_layers=1),
        num_tokens=20 * 64,
        batch_tokens=64,
        precision=Float32(),
        checkpoints=EverySteps(5),
        keep=1,
    )
    tokens = make_tokens({"web": [5, 90, 33, 120]})
    (tmp_path / "recipe.toml").write_text(settings.render(recipe))
    (tmp_path / "disk").mkdir()
    found = in_a_namespace([sys.executable, "-c", SCRIPT, str(tmp_path), str(tmp_path / "disk")])
    full, freed = (json.loads(line.removeprefix("REPORT ")) for line in found.splitlines() if line.startswith("REPORT"))
    for step, kept in ((10, "step-5"), (15, "step-5"), (20, "step-5")):
        warning = f"no space left for the checkpoint of step {step}: dropped, {kept} is kept; training goes on"
        assert warning in found
    assert (full["error"], full["exit_code"]) == ("NoSpaceError", 2)
    assert "for the last checkpoint, step-20; step-5 is kept: free some and run the same" in full["message"]
    assert full["checkpoints"] == ["step-5"]
    lines = full["whole_lines"]
    assert lines == list(range(1, len(lines) + 1))
    assert len(lines) >= 8
    assert not full["final"]
    assert freed["checkpoints"] == ["step-20"]
    assert freed["whole_lines"] == list(range(1, 21))

    from waman.training.pretrain import pretrain

    unbroken = pretrain(recipe, tokens=tokens, tokenizer=tokenizer, out=tmp_path / "unbroken")
    assert freed["weights"] == (unbroken.path / "final" / "model.safetensors").read_bytes().hex()
