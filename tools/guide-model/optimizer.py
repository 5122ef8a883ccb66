"""Muon for the matrices inside the layers, AdamW for the embedding and the norms.

Muon (Keller Jordan, 2024) takes the momentum of a matrix and replaces it by the nearest (semi-)orthogonal
matrix, found with a few Newton-Schulz steps, so that every direction of the matrix learns at one pace.
It needs about half the tokens that Adam needs, which counts when one core does the work.
"""

import torch


def orthogonalize(matrices, steps=4):
    """Newton-Schulz iteration on `[layers, rows, columns]`, in bfloat16; returns singular values near one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16()
    wide = x.shape[1] > x.shape[2]
    if wide:
        x = x.transpose(1, 2)
    x = (x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7).bfloat16()).contiguous()
    for _ in range(steps):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = a * x + torch.bmm(b * gram + c * torch.bmm(gram, gram), x)
    return (x.transpose(1, 2) if wide else x).float()


class Muon:
    """`learning_rate` is the root-mean-square step of a square matrix; tall ones get `sqrt(rows / columns)` more."""

    def __init__(self, parameters, learning_rate=0.015, momentum=0.95, weight_decay=0.02):
        self.parameters = list(parameters)
        self.learning_rate, self.momentum, self.weight_decay = learning_rate, momentum, weight_decay
        self.buffers = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, scale):
        """One update; `scale` in 0..1 is the schedule's factor on the learning rate."""
        rate = self.learning_rate * scale
        for parameter, buffer in zip(self.parameters, self.buffers):
            buffer.lerp_(parameter.grad, 1 - self.momentum)
            nesterov = parameter.grad.lerp(buffer, self.momentum)
            tall = max(1.0, parameter.shape[1] / parameter.shape[2]) ** 0.5
            parameter.mul_(1 - rate * self.weight_decay)
            parameter.add_(orthogonalize(nesterov), alpha=-rate * tall)


class Optimizer:
    """Both optimizers behind one `step`, with linear warm-up and linear decay to zero."""

    def __init__(self, model, total_steps, warmup_steps=20, matrix_rate=0.015, other_rate=0.003):
        matrices = [getattr(model, name) for name in model.MATRICES]
        known = {id(p) for p in matrices}
        others = [p for p in model.parameters() if id(p) not in known]
        self.muon = Muon(matrices, matrix_rate)
        self.adam = torch.optim.AdamW(others, lr=other_rate, betas=(0.9, 0.97), eps=1e-10, weight_decay=0.0)
        self.total_steps, self.warmup_steps, self.other_rate = total_steps, warmup_steps, other_rate

    def scale(self, step):
        """Factor on the learning rates at `step`."""
        return min(1.0, (step + 1) / self.warmup_steps) * max(0.0, 1 - step / self.total_steps)

    def step(self, step):
        scale = self.scale(step)
        self.muon.step(scale)
        for group in self.adam.param_groups:
            group["lr"] = self.other_rate * scale
        self.adam.step()
