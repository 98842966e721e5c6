"""Muon for the matrices, AdamW for the embedding and the norm gains, and a running mean of the weights."""
import torch


def orthogonal(batch):
    """Newton-Schulz steps that pull every singular value of each matrix of the batch to about 1."""
    x = batch.bfloat16()
    turned = x.shape[1] > x.shape[2]
    if turned:
        x = x.transpose(1, 2)
    x = (x / (x.float().norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16().contiguous()
    for _ in range(5):
        a = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.transpose(1, 2) if turned else x).float()


class Muon:
    """Momentum whose step is made orthogonal (Jordan et al. 2024), with decoupled weight decay."""

    def __init__(self, parameters, rate, momentum=0.95, decay=0.1):
        self.rate, self.momentum, self.decay = rate, momentum, decay
        shapes = {}
        for p in parameters:
            shapes.setdefault(tuple(p.shape), []).append(p)
        self.groups = list(shapes.values())
        self.velocity = [torch.zeros(len(g), *g[0].shape) for g in self.groups]

    @torch.no_grad()
    def step(self, scale):
        rate = self.rate * scale
        for group, velocity in zip(self.groups, self.velocity):
            grad = torch.stack([p.grad for p in group])
            velocity.lerp_(grad, 1 - self.momentum)
            step = orthogonal(grad.lerp_(velocity, self.momentum))
            step *= max(1, step.shape[1] / step.shape[2]) ** 0.5
            for p, s in zip(group, step):
                p.mul_(1 - rate * self.decay).add_(s, alpha=-rate)


class Optimizer:
    def __init__(self, model, rate, decay, embedding_rate):
        named = list(model.named_parameters())
        matrices = [p for n, p in named if p.dim() == 2 and n != "token_embd"]
        gains = [p for _, p in named if p.dim() == 1]
        self.parameters = [p for _, p in named]
        self.muon = Muon(matrices, rate, decay=decay)
        self.adam = torch.optim.AdamW([
            {"params": [model.token_embd], "base": embedding_rate, "weight_decay": decay},
            {"params": gains, "base": embedding_rate, "weight_decay": 0.0},
        ], lr=embedding_rate, betas=(0.9, 0.98), eps=1e-10)

    def step(self, scale):
        self.muon.step(scale)
        for group in self.adam.param_groups:
            group["lr"] = group["base"] * scale
        self.adam.step()
        for p in self.parameters:
            p.grad = None

    def state(self):
        return {"velocity": self.muon.velocity, "adam": self.adam.state_dict()}

    def restore(self, state):
        self.muon.velocity = state["velocity"]
        self.adam.load_state_dict(state["adam"])


class Mean:
    """Exponential running mean of the weights; `used()` swaps it in for an evaluation."""

    def __init__(self, model, decay):
        self.model, self.decay = model, decay
        self.weights = {n: p.detach().clone() for n, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, step):
        share = max(1 - self.decay, 1 / (step + 1))
        for n, p in self.model.named_parameters():
            self.weights[n].lerp_(p, share)

    @torch.no_grad()
    def swap(self):
        for n, p in self.model.named_parameters():
            kept = p.detach().clone()
            p.copy_(self.weights[n])
            self.weights[n] = kept
