"""P1 to P4 and memory: the tool against its peers, on files.

Every row alternates the tool and the peer, so that both see the same machine; medians and the ratio of medians are
printed. Conversions are timed before the flush to the disk and before the re-reading, as the peers are, which do neither;
a row gives the whole. Usage: files.py ASSAY FOLDER [--gigabytes 1.05] [--runs 5] [--only copies,hdf5,...]
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import h5py
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def timed(action):
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def assay(arguments, phase="converting"):
    """Runs a conversion and gives the seconds of one phase, or of everything."""
    output = subprocess.run([ASSAY, *arguments, "--json", "--quiet"], check=True, capture_output=True).stdout
    seconds = json.loads(output)["seconds"]
    return sum(seconds.values()) if phase == "all" else seconds[phase]


def remove(*names):
    for name in names:
        for path in (name, name + ".certificate.json"):
            if os.path.exists(path):
                os.remove(path)


def row(name, ours, peer, goal, size=None):
    """Alternates the two and prints a line of the table."""
    ours_times, peer_times = [], []
    for _ in range(RUNS):
        ours_times.append(ours())
        peer_times.append(peer())
    a, b = statistics.median(ours_times), statistics.median(peer_times)
    rate = f", {size / a / 1e9:.2f} against {size / b / 1e9:.2f} GB/s" if size else ""
    print(f"| {name} | {a * 1000:.1f} ms | {b * 1000:.1f} ms | {b / a:.2f}{rate} | {goal} |", flush=True)


def listing():
    code = (
        "import sys\nfrom safetensors import safe_open\nwith safe_open(sys.argv[1], 'np') as f:\n"
        "  [(k, f.get_slice(k).get_shape(), f.get_slice(k).get_dtype()) for k in f.keys()]"
    )
    row(
        "P1 inspect 1 GB",
        lambda: timed(lambda: subprocess.run([ASSAY, "inspect", SOURCE], check=True, capture_output=True)),
        lambda: timed(lambda: subprocess.run([sys.executable, "-c", code, SOURCE], check=True)),
        "20, below 10 ms",
    )
    row(
        "P1 the start alone (--version, import)",
        lambda: timed(lambda: subprocess.run([ASSAY, "--version"], check=True, capture_output=True)),
        lambda: timed(lambda: subprocess.run([sys.executable, "-c", "import safetensors"], check=True)),
        "-",
    )


def hashing():
    """What bounds the rows with digests: OpenSSL's SHA-256, one thread, in the cache."""
    piece = bytes(1 << 20)
    seconds = statistics.median(timed(lambda: hashlib.sha256(piece).digest()) for _ in range(101))
    print(f"| SHA-256, one thread | {len(piece) / seconds / 1e9:.2f} GB/s | | | |", flush=True)


def copies():
    out, peer_out = os.path.join(FOLDER, "out.safetensors"), os.path.join(FOLDER, "peer.safetensors")
    size = os.path.getsize(SOURCE)

    def ours(*options, phase="converting"):
        remove(out)
        return assay(["convert", SOURCE, out, *options], phase)

    def cp():
        remove(peer_out)
        return timed(lambda: subprocess.run(["cp", "--reflink=never", SOURCE, peer_out], check=True))

    def python():
        remove(peer_out)
        return timed(lambda: save_file(load_file(SOURCE), peer_out))

    row("P2 copy, both digests, against cp", ours, cp, "0.6", size)
    plain = ["--certificate", "none", "--no-verify"]
    row("P2 copy, no digests, against cp", lambda: ours(*plain), cp, "0.9", size)
    row("P2 copy, no digests, against Python", lambda: ours(*plain), python, "2", size)
    row("P2 copy, both digests, against Python", ours, python, "-", size)
    row("P2 copy, flushed, re-read and certified, against Python", lambda: ours(phase="all"), python, "-", size)

    def torch_cast():
        remove(peer_out)
        return timed(lambda: save_file({k: v.to(torch.bfloat16) if v.is_floating_point() else v
                                        for k, v in load_file(SOURCE).items()}, peer_out))

    row("P3 f32 to bf16, no digests", lambda: ours("--dtype", "bf16", *plain), torch_cast, "1.5", size)
    row("P3 f32 to bf16, both digests", lambda: ours("--dtype", "bf16"), torch_cast, "-", size)
    remove(out, peer_out)


def hdf5():
    out, peer_out = os.path.join(FOLDER, "out.h5"), os.path.join(FOLDER, "peer.h5")
    back, peer_back = os.path.join(FOLDER, "back.safetensors"), os.path.join(FOLDER, "peer-back.safetensors")
    size = os.path.getsize(SOURCE)

    def ours(source, target, *options):
        remove(target)
        return assay(["convert", source, target, *options])

    def to_h5(target, **options):
        remove(target)

        def action():
            with safe_open(SOURCE, "np") as file, h5py.File(target, "w") as h5:
                for key in file.keys():
                    h5.create_dataset(key, data=file.get_tensor(key), **options)

        return timed(action)

    def from_h5(source):
        from safetensors.numpy import save_file as save_numpy

        remove(peer_back)

        def action():
            with h5py.File(source, "r") as h5:
                save_numpy({key: h5[key][()] for key in h5}, peer_back)

        return timed(action)

    row("P4 safetensors to HDF5", lambda: ours(SOURCE, out), lambda: to_h5(peer_out), "2", size)
    plain = ["--certificate", "none", "--no-verify"]
    row("P4 safetensors to HDF5, no digests", lambda: ours(SOURCE, out, *plain), lambda: to_h5(peer_out), "-", size)
    row("P4 HDF5 to safetensors", lambda: ours(out, back), lambda: from_h5(out), "2", size)
    wall(out)
    remove(out, peer_out, back, peer_back)
    with safe_open(SOURCE, "np") as file, h5py.File(peer_out, "w") as h5:
        for key in list(file.keys())[:3]:
            tensor = file.get_tensor(key)
            if tensor.ndim == 2:
                h5.create_dataset(key, data=tensor[:512], chunks=(32, tensor.shape[1]), compression="gzip",
                                  compression_opts=1, shuffle=True)
    with h5py.File(peer_out, "r") as h5:
        small = sum(h5[key].size * 4 for key in h5)
    row("P4 gzip-chunked HDF5 to safetensors", lambda: ours(peer_out, back), lambda: from_h5(peer_out), "1.8", small)
    remove(peer_out, back, peer_back)


def wall(hdf5_file):
    """What the process of its own costs in which HDF5 files are looked at: inspect of the same tensors in both formats."""
    seconds = {path: [] for path in (hdf5_file, SOURCE)}
    for _ in range(21):
        for path, times in seconds.items():
            command = [ASSAY, "inspect", path]
            times.append(timed(lambda: subprocess.run(command, check=True, capture_output=True)))
    with_wall, without = (statistics.median(times) * 1000 for times in seconds.values())
    print(f"| inspect of HDF5 against safetensors | {with_wall:.1f} ms | {without:.1f} ms |"
          f" {with_wall - without:.1f} ms more | below 30 ms more |", flush=True)


def threads():
    """Two threads against one; on a memory file system, so that no disk is in the way."""
    size = os.path.getsize(SOURCE)
    for name, target, options in [
        ("copy, both digests", "out.safetensors", []),
        ("f32 to bf16, both digests", "out.safetensors", ["--dtype", "bf16"]),
        ("to zplanes, both digests", "out.zplanes", []),
        ("the same, flushed, re-read and certified", "out.zplanes", None),
    ]:
        out = os.path.join(FOLDER, target)

        def ours(count):
            remove(out)
            phase = "all" if options is None else "converting"
            return assay(["convert", SOURCE, out, "--threads", str(count), *(options or [])], phase)

        row(f"{name}, two threads against one", lambda: ours(2), lambda: ours(1), "1.7", size)
        remove(out)
    out = os.path.join(FOLDER, "out")

    def quantized(count):
        shutil.rmtree(out, ignore_errors=True)
        return assay(["quantize", SOURCE, out + "/", "--scheme", "int4-g32", "--include", "*", "--threads", str(count)])

    row("quantize int4-g32, two threads against one", lambda: quantized(2), lambda: quantized(1), "1.7", size)
    shutil.rmtree(out)


def memory():
    """Peak resident memory of converting 3.2 GB of 400 MB tensors.

    A process inherits the peak of the one that starts it, so a small one of its own starts the tool.
    """
    source, out = os.path.join(FOLDER, "large.safetensors"), os.path.join(FOLDER, "large-out.safetensors")
    make = (
        "import sys, torch\nfrom safetensors.torch import save_file\n"
        "save_file({f't{i}': torch.full((10_000, 10_000), float(i)) for i in range(8)}, sys.argv[1])"
    )
    measure = (
        "import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    subprocess.run([sys.executable, "-c", make, source], check=True)
    for options in ([], ["--dtype", "bf16"]):
        remove(out)
        command = [sys.executable, "-c", measure, ASSAY, "convert", source, out, "--quiet", *options]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"| memory, 3.2 GB of 400 MB tensors {' '.join(options)} | {peak / 1000:.0f} MB | | | 500 MB |", flush=True)
    remove(source, out)


def main():
    global ASSAY, FOLDER, RUNS, SOURCE
    parser = argparse.ArgumentParser()
    parser.add_argument("assay")
    parser.add_argument("folder")
    parser.add_argument("--gigabytes", type=float, default=1.05)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="listing,hashing,copies,hdf5,threads,memory")
    options = parser.parse_args()
    ASSAY, RUNS = options.assay, options.runs
    FOLDER = os.path.join(options.folder, f"assay-bench-{os.getpid()}")
    os.makedirs(FOLDER)
    SOURCE = os.path.join(FOLDER, "source.safetensors")
    try:
        torch.manual_seed(0)
        count = max(1, round(options.gigabytes * 1e9 / (2560 * 10240 * 4)))
        save_file({f"layers.{i}.weight": torch.randn(2560, 10240) for i in range(count)}, SOURCE)
        print("| what | ours | peer | ratio | goal |\n|---|---|---|---|---|")
        for part in options.only.split(","):
            {"listing": listing, "hashing": hashing, "copies": copies, "hdf5": hdf5, "threads": threads,
             "memory": memory}[part]()
    finally:
        shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
