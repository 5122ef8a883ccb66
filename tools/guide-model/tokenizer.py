"""Byte-level BPE, as llama.cpp does it for `tokenizer.ggml.pre = "qwen2"`: trainer and encoder.

A text is first cut at its control tokens, then by the qwen2 expression into pieces, and each piece is a
sequence of bytes (written as printable characters, GPT-2's table) whose neighbours are merged by rank.
"""

import collections
import functools
import heapq
import json
import re
import sys
import unicodedata

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def character_class(kind):
    """Members of a regular-expression class for all characters of Unicode category `kind` (L or N)."""
    ranges, start = [], None
    for code in range(sys.maxunicode + 2):
        inside = code <= sys.maxunicode and unicodedata.category(chr(code))[0] == kind
        if inside and start is None:
            start = code
        elif not inside and start is not None:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(ranges)


@functools.lru_cache(maxsize=None)
def piece_expression():
    """The qwen2 expression with `\\p{L}`, `\\p{N}` and Unicode white space spelt out for Python's `re`."""
    letter, number = character_class("L"), character_class("N")
    space = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000"
    return re.compile(
        f"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n{letter}{number}]?[{letter}]+|[{number}]"
        f"| ?[^{space}{letter}{number}]+[\\r\\n]*|[{space}]*[\\r\\n]+|[{space}]+(?![^{space}])|[{space}]+"
    )


def byte_characters():
    """GPT-2's table from byte to printable character."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    extra = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(extra)) for byte in range(256)]


BYTE_CHARACTERS = byte_characters()


def train(texts, vocabulary_size):
    """Learn merges from `texts`; returns `(tokens, merges)` with the control tokens at the end of the tokens."""
    expression, counts = piece_expression(), collections.Counter()
    for text in texts:
        counts.update(expression.findall(text))
    words = [[BYTE_CHARACTERS[byte] for byte in piece.encode()] for piece in counts]
    weights = list(counts.values())
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for index, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pairs[pair] += weights[index]
            where[pair].add(index)
    heap = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(heap)
    tokens, merges = list(BYTE_CHARACTERS), []
    known = set(tokens)
    while len(tokens) < vocabulary_size - len(CONTROL_TOKENS) and heap:
        count, pair = heapq.heappop(heap)
        if -count != pairs[pair]:
            if pairs[pair] > 0:
                heapq.heappush(heap, (-pairs[pair], pair))
            continue
        merges.append(pair)
        if pair[0] + pair[1] not in known:
            known.add(pair[0] + pair[1])
            tokens.append(pair[0] + pair[1])
        changed = set()
        for index in where.pop(pair):
            word, weight = words[index], weights[index]
            for old in zip(word, word[1:]):
                pairs[old] -= weight
            words[index] = word = merge(word, pair)
            for new in zip(word, word[1:]):
                pairs[new] += weight
                where[new].add(index)
                changed.add(new)
        for new in changed:
            heapq.heappush(heap, (-pairs[new], new))
    while len(tokens) < vocabulary_size - len(CONTROL_TOKENS):
        tokens.append(f"<|unused_{len(tokens)}|>")
    return tokens + list(CONTROL_TOKENS), merges


def merge(word, pair):
    """Join every neighbouring `pair` in `word`, from the left."""
    merged, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and (word[i], word[i + 1]) == pair:
            merged.append(word[i] + word[i + 1])
            i += 2
        else:
            merged.append(word[i])
            i += 1
    return merged


class Tokenizer:
    def __init__(self, tokens, merges):
        self.tokens, self.merges = tokens, [tuple(pair) for pair in merges]
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.control = re.compile("(" + "|".join(re.escape(token) for token in CONTROL_TOKENS) + ")")
        self.bytes = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}
        self.encode_piece = functools.lru_cache(maxsize=200_000)(self.encode_piece)

    def encode_piece(self, piece):
        word = [BYTE_CHARACTERS[byte] for byte in piece.encode()]
        while len(word) > 1:
            best = min(zip(word, word[1:]), key=lambda pair: self.ranks.get(pair, 1 << 30))
            if best not in self.ranks:
                break
            word = merge(word, best)
        return [self.ids[token] for token in word]

    def encode(self, text, control=True):
        """Token ids of `text`; with `control` the control tokens in it are taken as such."""
        ids = []
        for part in self.control.split(text) if control else [text]:
            if control and part in CONTROL_TOKENS:
                ids.append(self.ids[part])
            else:
                for piece in piece_expression().findall(part):
                    ids.extend(self.encode_piece(piece))
        return ids

    def decode(self, ids):
        text = "".join(self.tokens[i] for i in ids if self.tokens[i] not in CONTROL_TOKENS)
        return bytes(self.bytes.get(character, 63) for character in text).decode(errors="replace")

    def save(self, path):
        path.write_text(json.dumps({"tokens": self.tokens, "merges": self.merges}, ensure_ascii=True))

    @staticmethod
    def load(path):
        data = json.loads(path.read_text())
        return Tokenizer(data["tokens"], data["merges"])
