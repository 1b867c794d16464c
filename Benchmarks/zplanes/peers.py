#!/usr/bin/env python3
"""Times the zplanes codec beside ZipNN, memory to memory, in turns; and lmz, file to file.

    peers.py CODEC MODEL.safetensors [--threads 2] [--runs 7] [--lmz]

CODEC is the built `zplanes-codec`; MODEL a float32 checkpoint, measured as it is and rounded to bfloat16. All tensors
lie in one buffer, as ZipNN has no notion of several. Every run is checked to restore the same bytes. It needs zipnn,
safetensors, torch and, for --lmz, lmzip.
"""
import argparse
import os
import statistics
import subprocess
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402
import torch  # noqa: E402
import zipnn  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402


class Ours:
    def __init__(self, codec, kind, threads, path):
        self.process = subprocess.Popen([codec, kind, str(threads), path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        seconds, size = self.process.stdout.readline().split()
        return float(seconds), int(size)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class ZipNN:
    def __init__(self, kind, threads, raw):
        self.codec = zipnn.ZipNN(bytearray_dtype={"BF16": "bfloat16", "F32": "float32"}[kind], threads=threads)
        self.raw, self.compressed = raw, b""

    def run(self, what):
        if what == "compress":
            buffer = bytearray(self.raw)  # it rearranges the bytes it is given
            start = time.perf_counter()
            self.compressed = self.codec.compress(buffer)
            return time.perf_counter() - start, len(self.compressed)
        start = time.perf_counter()
        restored = self.codec.decompress(self.compressed)
        seconds = time.perf_counter() - start
        if bytes(restored) != self.raw:
            raise SystemExit("ZipNN: differs")
        return seconds, len(self.compressed)


def show(name, kind, raw_size, size, times):
    rates = {what: raw_size / statistics.median(values) / 1e6 for what, values in times.items()}
    best = {what: raw_size / min(values) / 1e6 for what, values in times.items()}
    print(
        f"{name:<10} {kind:<5} {100 * size / raw_size:7.3f} %  in {rates['compress']:5.0f} MB/s (best {best['compress']:5.0f})"
        f"  out {rates['decompress']:5.0f} MB/s (best {best['decompress']:5.0f})", flush=True)
    return rates, best


def measure(kind, raw, arguments):
    with tempfile.NamedTemporaryFile() as file:
        file.write(raw)
        file.flush()
        ours = Ours(arguments.codec, kind, arguments.threads, file.name)
        codecs = {"zplanes": ours, "zipnn": ZipNN(kind, arguments.threads, raw)}
        times = {name: {"compress": [], "decompress": []} for name in codecs}
        sizes = {}
        for run in range(arguments.runs + 1):
            for what in ("compress", "decompress"):
                for name, codec in codecs.items():
                    seconds, sizes[name] = codec.run(what)
                    if run > 0:  # the first warms up
                        times[name][what].append(seconds)
        ours.close()
    rates = {name: show(name, kind, len(raw), sizes[name], times[name]) for name in codecs}
    for what in ("compress", "decompress"):
        median, best = (rates["zplanes"][i][what] / rates["zipnn"][i][what] for i in range(2))
        print(f"           {kind:<5} {what}: {median:.2f} times ZipNN by medians, {best:.2f} by the best runs")


def measure_lmz(kind, path, arguments):
    import lmz

    with tempfile.TemporaryDirectory() as folder:
        packed, restored = os.path.join(folder, "x.lmz"), os.path.join(folder, "x.safetensors")
        times = {"compress": [], "decompress": []}
        for _ in range(max(1, arguments.runs // 2)):
            for what, action in (("compress", lambda: lmz.compress(path, packed)), ("decompress", lambda: lmz.decompress(packed, restored))):
                for target in (packed,) if what == "compress" else (restored,):
                    if os.path.exists(target):
                        os.remove(target)
                start = time.perf_counter()
                action()
                times[what].append(time.perf_counter() - start)
        if open(path, "rb").read() != open(restored, "rb").read():
            raise SystemExit("lmz: differs")
        show("lmz (file)", kind, os.path.getsize(path), os.path.getsize(packed), times)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("codec")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--lmz", action="store_true")
    arguments = parser.parse_args()
    floats = {name: tensor for name, tensor in load_file(arguments.model).items() if tensor.dtype == torch.float32}
    rounded = {name: tensor.to(torch.bfloat16) for name, tensor in floats.items()}
    measure("BF16", b"".join(t.contiguous().view(torch.uint16).numpy().tobytes() for t in rounded.values()), arguments)
    measure("F32", b"".join(np.ascontiguousarray(t.numpy()).tobytes() for t in floats.values()), arguments)
    if arguments.lmz:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "rounded.safetensors")
            save_file(rounded, path)
            measure_lmz("BF16", path, arguments)
        measure_lmz("F32", arguments.model, arguments)


main()
