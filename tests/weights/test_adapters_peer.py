"""LoRA directories of PEFT in ours, and of ours in PEFT: the same merged weights."""

import subprocess
from pathlib import Path

import pytest
import torch

from tests.weights.test_adapters import adapter
from tests.weights.test_huggingface import TINY, build
from waman.weights import safetensors
from waman.weights.adapters import merge, read_adapter, write_adapter
from waman.weights.huggingface import load_decoder, save_weights, to_hugging_face

_MAKE = """
import sys, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
base, out, stabilized = sys.argv[1], sys.argv[2], sys.argv[3] == "True"
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(base)
config = LoraConfig(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "gate_proj", "down_proj"],
                    use_rslora=stabilized, init_lora_weights=False, task_type="CAUSAL_LM")
model = get_peft_model(model, config)
model.save_pretrained(out + "/adapter")
model.merge_and_unload().save_pretrained(out + "/merged")
"""

_MERGE = """
import sys
from peft import PeftModel
from transformers import AutoModelForCausalLM
base, adapter, out = sys.argv[1:]
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
model.merge_and_unload().save_pretrained(out)
"""


def ask(python: Path, program: str, *arguments: object) -> None:
    ran = subprocess.run([python, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def assert_merged_as_in(folder: Path, base: Path, low: Path) -> None:
    decoder = load_decoder(base)
    named = to_hugging_face(decoder.state_dict(), TINY)
    merge(read_adapter(low), named)
    expected = dict(safetensors.read(folder / "model.safetensors"))
    assert set(named) == set(expected)
    for name, tensor in named.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("stabilized", [False, True])
def test_what_peft_made_is_merged_as_peft_merges_it(tmp_path: Path, peers_python: Path, stabilized: bool) -> None:
    save_weights(build(TINY), TINY, None, tmp_path / "base", torch.float32)
    ask(peers_python, _MAKE, tmp_path / "base", tmp_path, stabilized)
    assert read_adapter(tmp_path / "adapter").rank_stabilized == stabilized
    assert_merged_as_in(tmp_path / "merged", tmp_path / "base", tmp_path / "adapter")


def test_what_we_made_is_merged_by_peft_as_we_merge_it(tmp_path: Path, peers_python: Path) -> None:
    save_weights(build(TINY), TINY, None, tmp_path / "base", torch.float32)
    write_adapter(adapter(), tmp_path / "adapter")
    ask(peers_python, _MERGE, tmp_path / "base", tmp_path / "adapter", tmp_path / "merged")
    assert_merged_as_in(tmp_path / "merged", tmp_path / "base", tmp_path / "adapter")
