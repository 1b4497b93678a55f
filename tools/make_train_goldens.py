#!/usr/bin/env python3
"""Writes src/train/testdata/: training steps of tiny models, computed by PyTorch.

Each folder holds init.safetensors (parameters), batch.safetensors (input_ids, targets), grads.safetensors
(gradients before the first step), after1.safetensors and after5.safetensors (parameters after 1 and 5 AdamW
steps on that batch) and meta.json (shape, optimizer, losses, distance to the same run in float64).

Rounding to int8 is discontinuous, so seeds are tried until the float32 and float64 runs agree: then a correct
implementation agrees with both.

Needs torch and safetensors. Usage: tools/make_train_goldens.py
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

OUT = Path(__file__).resolve().parent.parent / "src" / "train" / "testdata"
SHAPE = dict(hidden=16, layers=2, heads=2, kv_heads=2, ffn=20, vocab=24, theta=10000.0, eps=1e-5, batch=2, seq=8,
             bit=True, binary=False, inner_norm=None, block_norms=True, sub_norms=False, act="silu", tied=False)
FORMS = {
    "llama": dict(bit=False),
    "bitnet": dict(sub_norms=True, tied=True, kv_heads=1),
    "bitnet_paper": dict(inner_norm="weight", block_norms=False),
    "binary": dict(binary=True, inner_norm="plain", block_norms=False),
}
LEARNING_RATE, BETAS, EPSILON, DECAY, STEPS = 1e-3, (0.9, 0.95), 1e-8, 0.1, 5


def activation_quant(x):
    scale = 127.0 / x.abs().max(dim=-1, keepdim=True).values.clamp(min=1e-5)
    return (x * scale).round().clamp(-128, 127) / scale


def weight_quant(w, binary):
    if binary:
        return torch.where(w > w.mean(), 1.0, -1.0).to(w.dtype) * w.abs().mean()
    scale = 1.0 / w.abs().mean().clamp(min=1e-5)
    return (w * scale).round().clamp(-1, 1) / scale


def straight_through(x, quantised):
    return x + (quantised - x).detach()


def rms_norm(x, gain, eps):
    y = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    return y if gain is None else gain * y


def linear(p, name, x, c):
    w = p[name + ".weight"]
    if c["inner_norm"]:
        x = rms_norm(x, p.get(name + ".rms_norm.weight"), c["eps"])
    if not c["bit"]:
        return x @ w.t()
    return straight_through(x, activation_quant(x)) @ straight_through(w, weight_quant(w, c["binary"])).t()


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def forward(p, ids, c):
    B, T = ids.shape
    H, G, D = c["heads"], c["kv_heads"], c["hidden"] // c["heads"]
    x = p["model.embed_tokens.weight"][ids]
    frequency = 1.0 / (c["theta"] ** (torch.arange(0, D, 2, dtype=x.dtype) / D))
    angle = torch.arange(T, dtype=x.dtype)[:, None] * frequency[None]
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    mask = torch.full((T, T), float("-inf"), dtype=x.dtype).triu(1)
    for layer in range(c["layers"]):
        pre = f"model.layers.{layer}."
        block_norm = lambda y, name: rms_norm(y, p[pre + name], c["eps"]) if c["block_norms"] else y
        sub_norm = lambda y, name: rms_norm(y, p[pre + name], c["eps"]) if c["sub_norms"] else y
        a = block_norm(x, "input_layernorm.weight")
        q, k, v = (linear(p, f"{pre}self_attn.{n}_proj", a, c).view(B, T, -1, D).transpose(1, 2) for n in "qkv")
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k, v = k.repeat_interleave(H // G, 1), v.repeat_interleave(H // G, 1)
        o = ((q @ k.transpose(-1, -2)) / math.sqrt(D) + mask).softmax(-1) @ v
        o = sub_norm(o.transpose(1, 2).reshape(B, T, H * D), "self_attn.attn_sub_norm.weight")
        x = x + linear(p, pre + "self_attn.o_proj", o, c)
        f = block_norm(x, "post_attention_layernorm.weight")
        gate, up = linear(p, pre + "mlp.gate_proj", f, c), linear(p, pre + "mlp.up_proj", f, c)
        m = torch.nn.functional.silu(gate) * up
        x = x + linear(p, pre + "mlp.down_proj", sub_norm(m, "mlp.ffn_sub_norm.weight"), c)
    x = rms_norm(x, p["model.norm.weight"], c["eps"])
    return x @ (p["model.embed_tokens.weight"] if c["tied"] else p["lm_head.weight"]).t()


def initial(c, generator):
    h, f, kv = c["hidden"], c["ffn"], c["hidden"] // c["heads"] * c["kv_heads"]
    matrix = lambda *shape: torch.randn(*shape, generator=generator) * 0.15
    gain = lambda size: 1 + 0.1 * torch.randn(size, generator=generator)
    p = {"model.embed_tokens.weight": matrix(c["vocab"], h)}
    for layer in range(c["layers"]):
        pre = f"model.layers.{layer}."
        if c["block_norms"]:
            p[pre + "input_layernorm.weight"], p[pre + "post_attention_layernorm.weight"] = gain(h), gain(h)
        if c["sub_norms"]:
            p[pre + "self_attn.attn_sub_norm.weight"], p[pre + "mlp.ffn_sub_norm.weight"] = gain(h), gain(f)
        for name, outputs, inputs in (("self_attn.q_proj", h, h), ("self_attn.k_proj", kv, h),
                                      ("self_attn.v_proj", kv, h), ("self_attn.o_proj", h, h),
                                      ("mlp.gate_proj", f, h), ("mlp.up_proj", f, h), ("mlp.down_proj", h, f)):
            p[pre + name + ".weight"] = matrix(outputs, inputs)
            if c["inner_norm"] == "weight":
                p[pre + name + ".rms_norm.weight"] = gain(inputs)
    p["model.norm.weight"] = gain(h)
    if not c["tied"]:
        p["lm_head.weight"] = matrix(c["vocab"], h)
    return p


def train(start, ids, targets, c, dtype):
    p = {name: value.clone().to(dtype).requires_grad_(True) for name, value in start.items()}
    groups = [{"params": [v for v in p.values() if v.dim() == 2], "weight_decay": DECAY},
              {"params": [v for v in p.values() if v.dim() == 1], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON)
    losses, states = [], []
    for step in range(STEPS + 1):
        loss = torch.nn.functional.cross_entropy(forward(p, ids, c).flatten(0, 1), targets.flatten())
        losses.append(loss.item())
        if step == STEPS:
            return losses, grads, states
        adamw.zero_grad()
        loss.backward()
        if step == 0:
            grads = {name: value.grad.clone() for name, value in p.items()}
        adamw.step()
        states.append({name: value.detach().clone() for name, value in p.items()})


def distance(a, b):
    difference = sum(((a[name].double() - b[name].double()) ** 2).sum() for name in a)
    return math.sqrt(difference / sum((b[name].double() ** 2).sum() for name in b))


def write_form(name, form):
    c = {**SHAPE, **form}
    for seed in range(1, 1000):
        generator = torch.Generator().manual_seed(seed)
        start = initial(c, generator)
        tokens = torch.randint(0, c["vocab"], (c["batch"], c["seq"] + 1), generator=generator)
        ids, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
        losses, grads, states = train(start, ids, targets, c, torch.float32)
        losses64, _, states64 = train(start, ids, targets, c, torch.float64)
        apart = distance(states[-1], states64[-1])
        if apart < 1e-6:
            break
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    save_file(start, folder / "init.safetensors")
    save_file({"input_ids": ids, "targets": targets}, folder / "batch.safetensors")
    save_file(grads, folder / "grads.safetensors")
    save_file(states[0], folder / "after1.safetensors")
    save_file(states[-1], folder / "after5.safetensors")
    meta = {
        "config": {**c, "seed": seed},
        "optimizer": {"lr": LEARNING_RATE, "betas": BETAS, "eps": EPSILON, "weight_decay_on_2d_parameters": DECAY},
        "torch": torch.__version__,
        "loss_before_step": losses,
        "float64_rerun": {"loss_before_step": losses64, "rel_l2_params_after1": distance(states[0], states64[0]),
                          "rel_l2_params_after5": apart},
    }
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    print(f"{name}: seed {seed}, loss {losses[0]:.4f} -> {losses[-1]:.4f}, float64 apart by {apart:.1e}")


if __name__ == "__main__":
    for form_name, form_options in FORMS.items():
        write_form(form_name, form_options)
