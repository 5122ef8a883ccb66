"""The Qwen3 network, small: QK-norm, RMSNorm, SwiGLU, rotary positions, grouped-query attention, tied embeddings.

The same kind of matrix of all layers lives in one parameter `[layers, out, in]`, so that the optimizer can
work on all of them in one batched product. Matrix products run in bfloat16 where `matmul_dtype` says so:
on CPUs with AVX512-BF16 that is twice to four times as fast, and the residual stream stays in float32.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class Shape:
    """Sizes of the network; `context_length` is in tokens."""

    vocabulary: int = 3072
    layers: int = 8
    hidden: int = 256
    heads: int = 8
    kv_heads: int = 4
    head_dim: int = 32
    feed_forward: int = 768
    context_length: int = 2048
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-6


class RmsNorm(torch.autograd.Function):
    """Scales the last axis of `x` to a root mean square of one, then by `weight`; its own gradient saves a tenth of the time."""

    @staticmethod
    def forward(context, x, weight, epsilon):
        inverse = torch.rsqrt((x * x).mean(-1, keepdim=True) + epsilon)
        normal = x * inverse
        context.save_for_backward(normal, inverse, weight)
        return normal * weight

    @staticmethod
    def backward(context, gradient):
        normal, inverse, weight = context.saved_tensors
        weight_gradient = (gradient * normal).flatten(0, -2).sum(0)
        gradient = gradient * weight
        return (gradient - normal * (gradient * normal).mean(-1, keepdim=True)) * inverse, weight_gradient, None


class GatedSilu(torch.autograd.Function):
    """`silu(gate) * up`, computed in float32 whatever the inputs are."""

    @staticmethod
    def forward(context, gate, up):
        context.save_for_backward(gate, up)
        return (F.silu(gate.float()) * up.float()).to(gate.dtype)

    @staticmethod
    def backward(context, gradient):
        gate, up = (tensor.float() for tensor in context.saved_tensors)
        kind, gradient = gradient.dtype, gradient.float()
        sigmoid = torch.sigmoid(gate)
        silu = gate * sigmoid
        return (gradient * up * (sigmoid + silu - silu * sigmoid)).to(kind), (gradient * silu).to(kind)


rms_norm = RmsNorm.apply


def rotary_table(shape, length, device):
    """Cosine and sine `[length, head_dim]` for rotary positions in the NEOX layout (halves rotated)."""
    exponent = torch.arange(0, shape.head_dim, 2, device=device).float() / shape.head_dim
    angle = torch.outer(torch.arange(length, device=device).float(), shape.rope_base ** -exponent)
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def rotate(x, cosine, sine):
    """Apply rotary positions to `x` `[batch, heads, length, head_dim]`."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


class GuideModel(nn.Module):
    """Decoder that maps token ids `[batch, length]` to hidden states `[batch, length, hidden]`."""

    def __init__(self, shape, matmul_dtype=torch.float32):
        super().__init__()
        self.shape = shape
        self.matmul_dtype = matmul_dtype
        query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim

        def matrix(rows, columns, gain):
            return nn.Parameter(torch.randn(shape.layers, rows, columns) * gain / columns**0.5)

        def ones(size):
            return nn.Parameter(torch.ones(shape.layers, size))

        # Tied embeddings: most gradients on a row only push its word's score down, all rows the same way. Rows that
        # start large keep their words apart from each other; the small output norm keeps the first scores flat.
        self.token_embd = nn.Parameter(torch.randn(shape.vocabulary, shape.hidden) * 0.1)
        self.attn_q = matrix(query, shape.hidden, 0.6)
        self.attn_k = matrix(key, shape.hidden, 0.6)
        self.attn_v = matrix(key, shape.hidden, 0.6)
        self.attn_output = matrix(shape.hidden, query, 0.0)
        self.ffn_gate = matrix(shape.feed_forward, shape.hidden, 0.6)
        self.ffn_up = matrix(shape.feed_forward, shape.hidden, 0.6)
        self.ffn_down = matrix(shape.hidden, shape.feed_forward, 0.0)
        self.attn_norm = ones(shape.hidden)
        self.ffn_norm = ones(shape.hidden)
        self.attn_q_norm = ones(shape.head_dim)
        self.attn_k_norm = ones(shape.head_dim)
        self.output_norm = nn.Parameter(torch.full((shape.hidden,), 0.2))

    MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    LAYER_NORMS = ("attn_norm", "ffn_norm", "attn_q_norm", "attn_k_norm")

    def forward(self, tokens):
        shape, kind = self.shape, self.matmul_dtype
        batch, length = tokens.shape
        cosine, sine = rotary_table(shape, length, tokens.device)
        future = torch.full((length, length), float("-inf"), device=tokens.device).triu(1)
        layers = {name: getattr(self, name).to(kind).unbind(0) for name in self.MATRICES}
        norms = {name: getattr(self, name).unbind(0) for name in self.LAYER_NORMS}

        def heads(x, count):
            return x.float().view(batch, length, count, shape.head_dim).transpose(1, 2)

        x = F.embedding(tokens, self.token_embd)
        for i in range(shape.layers):
            h = rms_norm(x, norms["attn_norm"][i], shape.norm_epsilon).to(kind)
            q = heads(F.linear(h, layers["attn_q"][i]), shape.heads)
            k = heads(F.linear(h, layers["attn_k"][i]), shape.kv_heads)
            v = F.linear(h, layers["attn_v"][i]).view(batch, length, shape.kv_heads, shape.head_dim).transpose(1, 2)
            q = rotate(rms_norm(q, norms["attn_q_norm"][i], shape.norm_epsilon), cosine, sine)
            k = rotate(rms_norm(k, norms["attn_k_norm"][i], shape.norm_epsilon), cosine, sine)
            x = x + F.linear(self.attend(q, k, v, future), layers["attn_output"][i]).float()
            h = rms_norm(x, norms["ffn_norm"][i], shape.norm_epsilon).to(kind)
            h = GatedSilu.apply(F.linear(h, layers["ffn_gate"][i]), F.linear(h, layers["ffn_up"][i]))
            x = x + F.linear(h, layers["ffn_down"][i]).float()
        return rms_norm(x, self.output_norm, shape.norm_epsilon)

    def attend(self, q, k, v, future):
        """Causal attention; each key/value head serves `heads / kv_heads` neighbouring query heads."""
        shape, kind = self.shape, self.matmul_dtype
        batch, _, length, _ = q.shape
        group = shape.heads // shape.kv_heads
        # The query heads of one group are stacked along the length: one product for each key/value head.
        q = (q * shape.head_dim**-0.5).to(kind).reshape(batch * shape.kv_heads, group * length, shape.head_dim)
        k = k.to(kind).reshape(batch * shape.kv_heads, length, shape.head_dim)
        v = v.reshape(batch * shape.kv_heads, length, shape.head_dim)
        scores = torch.bmm(q, k.transpose(1, 2)).float().view(-1, group, length, length) + future
        weights = scores.softmax(-1).to(kind).view(-1, group * length, length)
        mixed = torch.bmm(weights, v).view(batch, shape.heads, length, shape.head_dim)
        return mixed.transpose(1, 2).reshape(batch, length, shape.heads * shape.head_dim)

    def logits(self, hidden):
        """Scores over the vocabulary, through the embedding matrix (tied)."""
        return F.linear(hidden.to(self.matmul_dtype), self.token_embd.to(self.matmul_dtype)).float()
