"""Compares this folder's tokenizer and network with llama.cpp on the exported file (`compare.mjs` runs llama.cpp).

Texts: questions and stories of the corpus, other languages, emoji, code, odd spacing, and random strings of
Unicode characters. Network: log-probabilities of every position of some conversations, computed here in float32
from the dequantised weights of the file.
"""

import argparse
import json
import pathlib
import random
import subprocess
import tempfile

import torch

import conversation
import gguf
from corpus import Corpus
from export import load, tensors

ODD_TEXTS = (
    "", " ", "\n", "\n\n  \n", "a  b   c    ", "\tx\t\ty ", "Hello, World!", "don't CAN'T we'll I'M they've it's o'clock 'Sup 'x",
    "1234567890 3.14 ½ ² ⅷ ٣", "für Größe naïve café", "日本語のテキスト。中文", "Привет, мир!", "مرحبا بالعالم", "😀👍🏽👨‍👩‍👧 ok", "x\r\ny\rz", "a\u00a0b\u2003c\u3000d\u200be",
    "for (let i=0;i<10;i++) { console.log(`${i}`) }", "<|im_start|>user\nhi<|im_end|>", "<|endoftext|>", "e\u0301 n\u0303 \u1e9b", "\x00\x01\x1c\x1f\x7f\x85", "!!!???...\n\n###  ***", "C:\\path\\to", "हिन्दी ไทย 한국어", "\ufeffbom", "   leading", "trailing   ", "\n \n a\n  b",
)


def texts(seed, count):
    """Corpus texts and random mixtures of characters from many scripts."""
    corpus, randomness = Corpus(seed), random.Random(seed)
    made = list(ODD_TEXTS)
    for _ in range(count):
        made += [text for _, text in corpus.conversation()]
    scripts = [(0x20, 0x7F), (0x20, 0x7F), (0x09, 0x0E), (0xA0, 0x250), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00), (0x1E00, 0x2100), (0x2150, 0x2190), (0x3000, 0x3100), (0x4E00, 0x4F00), (0x1F300, 0x1F700)]
    for _ in range(count):
        made.append("".join(chr(randomness.randrange(*randomness.choice(scripts))) for _ in range(randomness.randint(1, 40))))
    return made


def log_probabilities(model, ids):
    """`[length, vocabulary]` for the token ids of one text."""
    with torch.no_grad():
        return model.logits(model(torch.tensor([ids])))[0].log_softmax(-1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("--llama", required=True, help="folder in which node-llama-cpp is installed")
    parser.add_argument("--count", type=int, default=400)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, tokenizer, _ = load(options.folder)
    names = {f"blk.{i}.{name}.weight": (name, i) for name in model.MATRICES for i in range(model.shape.layers)}
    with torch.no_grad():
        for name, (kind, shape, data) in tensors(model).items():
            if kind == gguf.TENSOR_Q8_0:
                weights = torch.from_numpy(gguf.dequantize_q8_0(data, shape))
                if name in names:
                    getattr(model, names[name][0])[names[name][1]].copy_(weights)
                else:
                    model.token_embd.copy_(weights)
    samples = texts(11, options.count)
    corpus = Corpus(12)
    prompts = [conversation.encode(tokenizer, corpus.conversation())[0][:1000] for _ in range(6)]
    with tempfile.TemporaryDirectory() as scratch:
        request, reply = pathlib.Path(scratch, "request.json"), pathlib.Path(scratch, "reply.json")
        request.write_text(json.dumps({"texts": samples, "prompts": prompts}))
        script = pathlib.Path(__file__).parent / "compare.mjs"
        subprocess.run(["node", script, options.llama, options.gguf, request, reply], check=True)
        answer = json.loads(reply.read_text())
    wrong = [(text, mine, theirs) for text, theirs in zip(samples, answer["tokens"]) if (mine := tokenizer.encode(text)) != theirs]
    print(f"tokenizer: {len(samples) - len(wrong)} of {len(samples)} texts have the same tokens")
    for text, mine, theirs in wrong[:10]:
        print("  differs:", repr(text), mine, theirs)
    worst, same, positions = 0.0, 0, 0
    for ids, steps in zip(prompts, answer["steps"]):
        expected = log_probabilities(model, ids)
        for position, found in steps:
            row = expected[position]
            positions += 1
            same += int(row.argmax()) == found["best"]
            worst = max(worst, max(abs(float(row[token].exp()) - p) for token, p in found["probabilities"]))
    print(f"network: same best token at {same} of {positions} positions, largest difference of a probability {worst:.5f}")


if __name__ == "__main__":
    main()
