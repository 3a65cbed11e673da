#!/usr/bin/env python3
"""One peer at one length: what a user would run instead of s2c.

    peers.py SPEC        measure, print JSON lines
    peers.py --wait      load the libraries, then read SPEC from standard input

SPEC is a JSON object: peer (fa2, cudnn, flex, dkernel), heads, kv_heads, head_dim, block, local, vertical, seq, batch,
backward. With --wait a process can be ready before its turn; it touches no GPU until it has read SPEC.

Dense peers: FlashAttention-2 and cuDNN through PyTorch's scaled_dot_product_attention. Block-sparse peers on the same
pattern, DKernel's (key block + KV head * step) mod vertical = 0 or local: FlexAttention and DKernel (Triton).
FLOPs count attended (query, key) pairs alone: 4 * head_dim a pair forward, 10 * head_dim backward.
"""
import json
import os
import sys
import time

WARM_UP, REPEAT = 30, 150  # milliseconds, for do_bench


def attended(spec):
    """Attended pairs over all heads, and those of dense causal attention."""
    s, block = spec["seq"], spec["block"]
    dense = spec["batch"] * spec["heads"] * s * (s + 1) // 2
    if not spec["vertical"]:
        return dense, dense
    if s % block:
        raise ValueError("the peers are measured at whole blocks")
    total = 0
    for g in range(spec["kv_heads"]):
        first = -g * step(spec) % spec["vertical"]
        for q in range(s // block):
            far = q - spec["local"] - first  # of the last block before the window, from the first stripe
            whole = min(q, spec["local"] - 1) + (far // spec["vertical"] + 1 if far >= 0 else 0)
            total += whole * block * block + block * (block + 1) // 2
    return spec["batch"] * total * (spec["heads"] // spec["kv_heads"]), dense


def step(spec):
    return max(1, spec["vertical"] // spec["heads"])


class Tensors:
    """Random q, k, v and the output's gradient, [batch, heads, seq, dim]."""

    def __init__(self, spec):
        import torch

        def normal(heads, grad):
            return torch.randn(spec["batch"], heads, spec["seq"], spec["head_dim"], device="cuda",
                               dtype=torch.bfloat16, requires_grad=grad)
        backward = spec["backward"]
        self.q, self.k, self.v = (normal(h, backward) for h in (spec["heads"], spec["kv_heads"], spec["kv_heads"]))
        self.do = normal(spec["heads"], False) if backward else None
        self.gqa = spec["heads"] > spec["kv_heads"]


def dense(name):
    def make(spec, t):
        import torch.nn.functional as functional
        from torch.nn.attention import SDPBackend, sdpa_kernel
        backend = getattr(SDPBackend, name)

        def forward():
            with sdpa_kernel(backend):
                return functional.scaled_dot_product_attention(t.q, t.k, t.v, is_causal=True, enable_gqa=t.gqa)
        return [("", forward, spec["backward"])]
    return make


def flex(spec, t):
    """One variant for each KV block size asked for. Its backward has no kernel for 64-token KV blocks."""
    import torch
    import torch._dynamo
    import torch._functorch.config
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    torch._dynamo.config.cache_size_limit = 256
    torch._functorch.config.donated_buffer = False  # the backward is timed on one graph, over and over
    group, block, local, vertical, phase = spec["heads"] // spec["kv_heads"], spec["block"], spec["local"], spec["vertical"], step(spec)

    def mask(b, h, q, k):
        qb, kb = q // block, k // block
        return (q >= k) & ((((kb + (h // group) * phase) % vertical) == 0) | (qb - kb < local))
    compiled = torch.compile(flex_attention, dynamic=False)
    variants = []
    for kv in spec.get("flex_kv") or [64]:
        blocks = create_block_mask(mask, None, spec["heads"], spec["seq"], spec["seq"], device="cuda", BLOCK_SIZE=(128, kv), _compile=True)
        options = dict(BLOCK_M=128, BLOCK_N=kv, BLOCK_M1=64, BLOCK_N1=kv, BLOCK_M2=kv, BLOCK_N2=64) if kv == 64 else None

        def forward(blocks=blocks, options=options):
            return compiled(t.q, t.k, t.v, block_mask=blocks, enable_gqa=t.gqa, kernel_options=options)
        variants.append((f"kv{kv}", forward, spec["backward"] and kv != 64))
    return variants


def dkernel(spec, t):
    from dkernel import LocalStrideSparseAttention
    attention = LocalStrideSparseAttention(spec["heads"], spec["seq"], spec["block"], spec["local"], spec["vertical"],
                                           num_kv_heads=spec["kv_heads"], seq_dim=2).to("cuda")
    return [("", lambda: attention(t.q, t.k, t.v), spec["backward"])]


PEERS = {"fa2": (dense("FLASH_ATTENTION"), False), "cudnn": (dense("CUDNN_ATTENTION"), False), "flex": (flex, True), "dkernel": (dkernel, True)}


def do_bench(call):
    import triton
    return triton.testing.do_bench(call, warmup=WARM_UP, rep=REPEAT, return_mode="median")


def time_forward(forward, want_graph):
    import torch
    with torch.set_grad_enabled(want_graph):
        forward()
    torch.cuda.synchronize()
    with torch.no_grad():
        return do_bench(forward)


def time_backward(forward, t):
    import torch
    out = forward()

    def backward():
        return torch.autograd.grad(out, (t.q, t.k, t.v), t.do, retain_graph=True)
    backward()
    torch.cuda.synchronize()
    return do_bench(backward)


def emit(record):
    print(json.dumps(record), flush=True)


def measure(spec):
    """Times one peer; whatever it raises becomes a record."""
    import torch
    import triton
    start = time.time()
    base = {"peer": spec["peer"], "seq": spec["seq"], "torch": torch.__version__, "triton": triton.__version__}
    try:
        make, sparse = PEERS[spec["peer"]]
        pairs, all_pairs = attended(spec)
        pairs = pairs if sparse else all_pairs
        base.update(pairs=pairs, gpu=torch.cuda.get_device_name())
        tensors = Tensors(spec)
        for variant, forward, backward in make(spec, tensors):
            record = dict(base, variant=variant)
            ms = time_forward(forward, backward)
            record.update(ms=round(ms, 5), tflops=round(4 * spec["head_dim"] * pairs / ms / 1e9, 1))
            if backward:
                emit(dict(record, partial=True))
                ms = time_backward(forward, tensors)
                record.update(bwd_ms=round(ms, 5), bwd_tflops=round(10 * spec["head_dim"] * pairs / ms / 1e9, 1))
            emit(dict(record, took_s=round(time.time() - start, 1)))
    except Exception as e:  # whatever it is, the others go on
        text = str(e).strip().splitlines()
        emit(dict(base, error=f"{type(e).__name__}: {text[0][:300] if text else ''}", took_s=round(time.time() - start, 1)))
        if os.environ.get("S2C_BENCH_TRACE"):
            raise


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.argv[1] != "--wait":
        measure(json.loads(sys.argv[1]))
        return
    import torch  # noqa: F401  the slow part; no context is made on the GPU yet
    import triton  # noqa: F401
    import torch.nn.attention.flex_attention  # noqa: F401
    line = sys.stdin.readline()
    if line.strip():  # nothing when the caller has changed its mind
        measure(json.loads(line))


if __name__ == "__main__":
    main()
