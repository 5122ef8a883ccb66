"""Writes the GGUF file from a checkpoint: matrices as Q8_0, norms as float32, tokenizer and chat template inside."""

import argparse
import pathlib

import torch

import gguf
from conversation import TEMPLATE
from model import GuideModel, Shape
from tokenizer import CONTROL_TOKENS, Tokenizer

DESCRIPTION = "The small model that comes with Shoal: it answers questions about Shoal and tells simple stories. English only."


def metadata(shape, tokenizer):
    end_of_text, _, end_of_turn = (tokenizer.ids[token] for token in CONTROL_TOKENS)
    kinds = [3 if token in CONTROL_TOKENS else 1 for token in tokenizer.tokens]
    return {
        "general.architecture": (gguf.STRING, "qwen3"),
        "general.type": (gguf.STRING, "model"),
        "general.name": (gguf.STRING, "shoal-guide"),
        "general.description": (gguf.STRING, DESCRIPTION),
        "general.license": (gguf.STRING, "mit"),
        "general.size_label": (gguf.STRING, "7M"),
        "general.languages": (gguf.ARRAY, (gguf.STRING, ["en"])),
        "general.file_type": (gguf.U32, 7),
        "general.quantization_version": (gguf.U32, 2),
        "general.sampling.temp": (gguf.F32, 0.3),
        "general.sampling.top_p": (gguf.F32, 0.9),
        "general.sampling.top_k": (gguf.I32, 40),
        "qwen3.block_count": (gguf.U32, shape.layers),
        "qwen3.context_length": (gguf.U32, shape.context_length),
        "qwen3.embedding_length": (gguf.U32, shape.hidden),
        "qwen3.feed_forward_length": (gguf.U32, shape.feed_forward),
        "qwen3.attention.head_count": (gguf.U32, shape.heads),
        "qwen3.attention.head_count_kv": (gguf.U32, shape.kv_heads),
        "qwen3.attention.key_length": (gguf.U32, shape.head_dim),
        "qwen3.attention.value_length": (gguf.U32, shape.head_dim),
        "qwen3.attention.layer_norm_rms_epsilon": (gguf.F32, shape.norm_epsilon),
        "qwen3.rope.freq_base": (gguf.F32, shape.rope_base),
        "qwen3.vocab_size": (gguf.U32, shape.vocabulary),
        "tokenizer.ggml.model": (gguf.STRING, "gpt2"),
        "tokenizer.ggml.pre": (gguf.STRING, "qwen2"),
        "tokenizer.ggml.tokens": (gguf.ARRAY, (gguf.STRING, tokenizer.tokens)),
        "tokenizer.ggml.token_type": (gguf.ARRAY, (gguf.I32, kinds)),
        "tokenizer.ggml.merges": (gguf.ARRAY, (gguf.STRING, [" ".join(pair) for pair in tokenizer.merges])),
        "tokenizer.ggml.bos_token_id": (gguf.U32, end_of_text),
        "tokenizer.ggml.eos_token_id": (gguf.U32, end_of_turn),
        "tokenizer.ggml.padding_token_id": (gguf.U32, end_of_text),
        "tokenizer.ggml.add_bos_token": (gguf.BOOL, False),
        "tokenizer.chat_template": (gguf.STRING, TEMPLATE),
    }


def tensors(model):
    """All tensors under llama.cpp's names."""
    made = {}

    def add(name, tensor):
        weights = tensor.detach().float().cpu().numpy()
        quantized = weights.ndim == 2
        data = gguf.quantize_q8_0(weights) if quantized else weights.tobytes()
        made[name + ".weight"] = (gguf.TENSOR_Q8_0 if quantized else gguf.TENSOR_F32, weights.shape, data)

    add("token_embd", model.token_embd)
    for i in range(model.shape.layers):
        for name in model.MATRICES + model.LAYER_NORMS:
            add(f"blk.{i}.{name}", getattr(model, name)[i])
    add("output_norm", model.output_norm)
    return made


def load(folder):
    """The trained model and tokenizer of a training folder, and the whole checkpoint."""
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    model, saved = GuideModel(Shape()), torch.load(folder / "checkpoint.pt", map_location="cpu")
    model.load_state_dict(saved["model"])
    return model, tokenizer, saved


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="the --out folder of train.py")
    parser.add_argument("gguf", type=pathlib.Path)
    options = parser.parse_args()
    model, tokenizer, saved = load(options.folder)
    gguf.write(options.gguf, metadata(model.shape, tokenizer), tensors(model))
    print(f"{options.gguf}: {options.gguf.stat().st_size / 1e6:.2f} MB after step {saved['step']}, "
          f"{saved['tokens_seen'] / 1e6:.2f} M tokens, loss {saved['loss']:.4f}")


if __name__ == "__main__":
    main()
