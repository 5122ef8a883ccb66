"""Trains the tokenizer and the network; writes a checkpoint every few minutes and goes on from it.

Conversations of like length share a batch, padded at the end, so that attention stays cheap and each one is
seen from position 0, as it is when the model is used. `conversation.WEIGHTS` says how much each token counts.
"""

import argparse
import pathlib
import random
import time

import torch
import torch.nn.functional as F

import conversation
from corpus import Corpus
from model import GuideModel, Shape
from optimizer import Optimizer
from tokenizer import Tokenizer, train as train_tokenizer

LENGTHS_TOKENS = (48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 1280, 1536, 2048)


def batches(corpus, tokenizer, batch_tokens, seed):
    """Endless micro-batches `(ids, weights)` of at most `batch_tokens` each, in a shuffled order of lengths."""
    shuffle, waiting = random.Random(seed), {length: [] for length in LENGTHS_TOKENS}
    ready = []
    while True:
        ids, weights = conversation.encode(tokenizer, corpus.conversation())
        length = next((length for length in LENGTHS_TOKENS if len(ids) <= length), None)
        if length is None:
            continue
        waiting[length].append((ids, weights))
        if len(waiting[length]) * length + length > batch_tokens:
            rows, waiting[length] = waiting[length], []
            block = torch.zeros(len(rows), length, dtype=torch.long)
            importance = torch.zeros(len(rows), length)
            for i, (ids, weights) in enumerate(rows):
                block[i, : len(ids)] = torch.tensor(ids)
                importance[i, : len(ids)] = torch.tensor(weights)
            ready.append((block, importance))
        if len(ready) > 64:
            yield ready.pop(shuffle.randrange(len(ready)))


def make_tokenizer(path, seed, vocabulary_size):
    if not path.exists():
        corpus = Corpus(seed)
        texts = (text for _ in range(25_000) for _, text in corpus.conversation())
        Tokenizer(*train_tokenizer(texts, vocabulary_size)).save(path)
    return Tokenizer.load(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for tokenizer, checkpoint and log")
    parser.add_argument("--steps", type=int, default=1750)
    parser.add_argument("--micro-batches", type=int, default=2, help="per step")
    parser.add_argument("--batch-tokens", type=int, default=2048, help="per micro-batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--matrix-rate", type=float, default=0.015)
    parser.add_argument("--other-rate", type=float, default=0.003)
    parser.add_argument("--stop-after", type=int, default=0, help="end after so many steps of the schedule; for trials")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    shape = Shape()
    tokenizer = make_tokenizer(options.out / "tokenizer.json", options.seed, shape.vocabulary)
    model = GuideModel(shape, torch.bfloat16).to(device)
    optimizer = Optimizer(model, options.steps, matrix_rate=options.matrix_rate, other_rate=options.other_rate)
    checkpoint, first, tokens_seen, learnt_seen = options.out / "checkpoint.pt", 0, 0, 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device)
        model.load_state_dict(saved["model"])
        optimizer.muon.buffers = saved["muon"]
        optimizer.adam.load_state_dict(saved["adam"])
        first, tokens_seen, learnt_seen = saved["step"], saved["tokens_seen"], saved["learnt_seen"]
    # After an interruption the stream starts with another seed: new conversations, no repeats.
    stream = batches(Corpus(options.seed + 1 + first), tokenizer, options.batch_tokens, options.seed + first)
    log = (options.out / "train.log").open("a")
    started = saved_at = time.time()
    average = None

    def save(step):
        torch.save({"model": model.state_dict(), "muon": optimizer.muon.buffers, "adam": optimizer.adam.state_dict(),
                    "step": step, "tokens_seen": tokens_seen, "learnt_seen": learnt_seen, "loss": average}, checkpoint)

    for step in range(first, options.stop_after or options.steps):
        micro = [next(stream) for _ in range(options.micro_batches)]
        whole = sum(float(weights[:, 1:].sum()) for _, weights in micro)
        total = answer_total = 0.0
        for ids, weights in micro:
            ids, weights = ids.to(device), weights.to(device)
            hidden = model(ids[:, :-1])
            picked = weights[:, 1:] > 0
            importance = weights[:, 1:][picked]
            losses = F.cross_entropy(model.logits(hidden[picked]), ids[:, 1:][picked], reduction="none")
            ((losses * importance).sum() / whole).backward()
            answer = importance >= 1
            total += float((losses * answer).sum())
            answer_total += float(answer.sum())
            tokens_seen += int((ids > 0).sum())
        total /= answer_total
        learnt_seen += int(answer_total)
        optimizer.step(step)
        model.zero_grad(set_to_none=True)
        average = total if average is None else 0.98 * average + 0.02 * total
        if (step + 1) % 20 == 0:
            rate = (tokens_seen) / (time.time() - started) if first == 0 else 0
            log.write(f"step {step + 1} loss {average:.4f} now {total:.4f} tokens {tokens_seen} learnt {learnt_seen} "
                      f"seconds {time.time() - started:.0f} tokens/s {rate:.0f}\n")
            log.flush()
        if time.time() - saved_at > 150:
            save(step + 1)
            saved_at = time.time()
    save(options.stop_after or options.steps)


if __name__ == "__main__":
    main()
