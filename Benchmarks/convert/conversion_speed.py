#!/usr/bin/env python3
"""Element conversions, memory to memory, one thread: Assay's kernels beside torch and numpy with ml_dtypes.

Usage:  conversion_speed.py [--elements N] [--rounds R]
Needs:  clang, and the packages of fixtures/make/requirements.txt (torch, numpy, ml_dtypes).

The kernels of Sources/CKernels are compiled as the package compiles them (clang -O2) and called from here; they count
what overflows and underflows while they convert, the peers do not. All rows of one conversion take turns within one
run, and each shows its median. GB/s are of bytes read and written together.

  assay           into a buffer that exists, at the machine's fastest level
  torch copy_     into a buffer that exists
  torch .to       into a new tensor (whose pages the system must first provide)
  numpy astype    into a new array; numpy copyto into one that exists
"""

import argparse
import ctypes
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import torch

CODES = ["f64", "f32", "bf16", "f16"]
TORCH = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
NUMPY = {"f64": np.float64, "f32": np.float32, "bf16": ml_dtypes.bfloat16, "f16": np.float16}
PAIRS = [("f32", "bf16"), ("f32", "f16"), ("bf16", "f32"), ("f16", "f32"), ("bf16", "f16"), ("f64", "f32"), ("f32", "f64")]


def kernels() -> ctypes.CDLL:
    sources = Path(__file__).resolve().parents[2] / "Sources" / "CKernels"
    library = Path(tempfile.mkdtemp()) / "kernels.so"
    files = [str(sources / name) for name in ("convert.c", "level.c")]
    include = "-I" + str(sources / "include")
    subprocess.run(["clang", "-std=c17", "-O2", "-shared", "-fPIC", include, *files, "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.ck_convert_at.restype = ctypes.c_void_p
    return loaded


def assay(loaded: ctypes.CDLL, source: str, destination: str, values: torch.Tensor, out: torch.Tensor):
    level = ctypes.c_void_p(loaded.ck_convert_at(loaded.ck_best_level()))
    tally = (ctypes.c_uint64 * 2)()
    pointers = ctypes.c_void_p(out.data_ptr()), ctypes.c_void_p(values.data_ptr())
    count = ctypes.c_size_t(values.numel())

    def convert():
        loaded.ck_convert_elements(level, CODES.index(source), CODES.index(destination), *pointers, count, tally)

    return convert


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--elements", type=int, default=1 << 26)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(20261124)
    loaded = kernels()
    print(f"torch {torch.__version__.split('+')[0]}, numpy {np.__version__}, ml_dtypes {ml_dtypes.__version__}; "
          f"level {['scalar', 'avx2', 'avx512', 'neon'][loaded.ck_best_level()]}; "
          f"{options.elements} elements, medians of {options.rounds}")  # fmt: skip
    single = torch.randn(options.elements)
    for source, destination in PAIRS:
        values = single.to(TORCH[source])
        out = torch.zeros(options.elements, dtype=TORCH[destination])
        other = torch.zeros_like(out)
        array = values.view(torch.int16).numpy().view(NUMPY[source]) if source == "bf16" else values.numpy()
        filled = np.zeros(options.elements, dtype=NUMPY[destination])
        rows = {
            "assay": assay(loaded, source, destination, values, out),
            "torch copy_": lambda: other.copy_(values),
            "torch .to": lambda: values.to(TORCH[destination]),
            "numpy astype": lambda: array.astype(NUMPY[destination]),
            "numpy copyto": lambda: np.copyto(filled, array, casting="unsafe"),
        }
        times = {name: [] for name in rows}
        for _ in range(options.rounds + 1):
            for name, run in rows.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
        assert torch.equal(out, other), (source, destination)
        traffic = options.elements * (values.element_size() + out.element_size()) / 1e9
        median = {name: statistics.median(kept[1:]) for name, kept in times.items()}
        for name, seconds in median.items():
            print(f"{source:>4} to {destination:4}  {name:12}  {seconds * 1e3:8.2f} ms  {traffic / seconds:6.1f} GB/s"
                  f"  {seconds / median['assay']:5.2f}x")  # fmt: skip


if __name__ == "__main__":
    main()
