"""The shapes of kernels.c in NumPy and PyTorch: `python3 peers.py THREADS`, in medians."""

import os
import sys

threads = sys.argv[1] if len(sys.argv) > 1 else "1"
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = threads

import statistics
import time

import numpy


def median(run, runs=41):
    run()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def product(name, run, m, k, n, runs=41):
    seconds = median(run, runs)
    print(f"{name} [{m}, {k}] x [{k}, {n}]: {1e3 * seconds:.3f} ms, {2e-9 * m * k * n / seconds:.1f} GFLOP/s, "
          f"{4e-9 * k * n / seconds:.1f} GB/s of weights")


random = numpy.random.default_rng(1)
for m, k, n, runs in ((512, 768, 3072, 41), (512, 3072, 768, 41), (1, 768, 196608, 11)):
    a, w = random.random((m, k), numpy.float32), random.random((k, n), numpy.float32)
    out = numpy.empty((m, n), numpy.float32)
    product("numpy [in, out]", lambda: numpy.matmul(a, w, out=out), m, k, n, runs)
    v = numpy.ascontiguousarray(w.T)
    product("numpy [out, in]", lambda: numpy.matmul(a, v.T, out=out), m, k, n, runs)
    try:
        import torch
    except ImportError:
        continue
    torch.set_num_threads(int(threads))
    ta, tw, tv, to = (torch.from_numpy(x) for x in (a, w, v, out))
    product("torch [in, out]", lambda: torch.matmul(ta, tw, out=to), m, k, n, runs)
    product("torch [out, in]", lambda: torch.matmul(ta, tv.T, out=to), m, k, n, runs)
    del a, w, v, out, ta, tw, tv, to

try:
    import torch
    from torch.nn import functional
except ImportError:
    sys.exit()
q = torch.rand(1, 12, 512, 64)
print(f"torch attention 512 causal: {1e3 * median(lambda: functional.scaled_dot_product_attention(q, q, q, is_causal=True)):.3f} ms")
k = torch.rand(1, 12, 1024, 64)
one = torch.rand(1, 12, 1, 64)
print(f"torch attention 1 of 1024: {1e3 * median(lambda: functional.scaled_dot_product_attention(one, k, k), 101):.3f} ms")
x, out = torch.rand(512, 3072) * 2 - 1, torch.empty(512, 3072)
print(f"torch gelu_tanh: {1e3 * median(lambda: functional.gelu(x, approximate='tanh')):.3f} ms")
print(f"torch gelu_erf: {1e3 * median(lambda: functional.gelu(x)):.3f} ms")
print(f"torch silu: {1e3 * median(lambda: functional.silu(x)):.3f} ms")
for name in ("exp", "tanh", "erf"):
    print(f"torch {name}: {1e3 * median(lambda: getattr(torch, name)(x, out=out)):.3f} ms")
print(f"torch softmax: {1e3 * median(lambda: torch.softmax(x, -1)):.3f} ms")
y, w = torch.rand(512, 768), torch.rand(768)
print(f"torch layer_norm: {1e3 * median(lambda: functional.layer_norm(y, (768,), w, w)):.3f} ms")
