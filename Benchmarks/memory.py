"""Peak memory and time of conversions: large checkpoints, one huge tensor, very many tiny ones.

Prints the README's tables. Usage: memory.py ASSAY FOLDER [--scratch FOLDER] [--gigabytes 6] [--only large,huge,tiny]
[--formats npz,...] [--schemes int8,...]; the last two may be empty. FOLDER holds the sources, the scratch folder (a memory
file system is fastest) what is made of them: twice the largest.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys

import numpy as np

FORMATS = ["safetensors", "pytorch", "hdf5", "hdf5 --deflate 1", "zplanes", "gguf", "npz", "ztensor", "safetensors.zst", "gguf.zst"]
SCHEMES = ["int8", "int4-g32", "q4_0", "q8_0"]

# A process inherits the peak of the one that starts it, so a small one of its own starts the tool.
MEASURE = """
import resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(code, used.ru_maxrss, time.perf_counter() - begin, used.ru_utime + used.ru_stime)
"""


def run(*arguments):
    """Runs the tool; gives its peak in MB, its seconds, and those of processor time."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, ASSAY, *arguments], check=True, capture_output=True, text=True)
    code, peak, seconds, processor = done.stdout.split()
    if code != "0":
        sys.exit(f"{' '.join(arguments)}: exit code {code}\n{done.stderr}")
    return int(peak) / 1000, float(seconds), float(processor)


def remove(path):
    shutil.rmtree(path, ignore_errors=True)
    for name in (path, path + ".certificate.json"):
        if os.path.exists(name):
            os.remove(name)


def write_safetensors(path, tensors):
    """tensors: (name, shape); float32 values around zero, no two tensors alike."""
    block = np.random.default_rng(1).standard_normal(16 << 20, dtype=np.float32)
    header, offset = {}, 0
    for name, shape in tensors:
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for number, (name, shape) in enumerate(tensors):
            count = int(np.prod(shape))
            for start in range(0, count, len(block)):
                shifted = np.roll(block, number * 12345 + start) if count > 1000 else block[number : number + count]
                file.write(shifted[: min(len(block), count - start)].tobytes())


def sharded(folder, count, shape):
    """A checkpoint of `count` tensors, each in a file of its own."""
    os.makedirs(folder)
    weights = {}
    for number in range(count):
        name = f"model-{number + 1:05}-of-{count:05}.safetensors"
        write_safetensors(os.path.join(folder, name), [(f"layers.{number}.weight", shape)])
        weights[f"layers.{number}.weight"] = name
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {}, "weight_map": weights}, file)


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def there_and_back(name, source, limit, options=()):
    """To every format and from it."""
    for form in CHOSEN:
        target, back = os.path.join(SCRATCH, "made"), os.path.join(SCRATCH, "back")
        to, *more = form.split(" ")
        try:
            there = run("convert", source, target + "/", "--to", to, *more, *options, "--quiet")
            again = run("convert", target, back + "/", "--to", "safetensors", *options, "--quiet")
        finally:
            remove(target)
            remove(back)
        row(name, form, f"{there[0]:.0f}", f"{again[0]:.0f}", limit, f"{there[1]:.0f} s, {again[1]:.0f} s")


def quantized(name, source, limit, options=()):
    for scheme in CHOSEN_SCHEMES:
        target = os.path.join(SCRATCH, "made")
        peak, seconds, _ = run("quantize", source, target + "/", "--scheme", scheme, "--include", "*", *options, "--quiet")
        remove(target)
        row(name, f"quantize {scheme}", f"{peak:.0f}", "", limit, f"{seconds:.0f} s")


def large(gigabytes):
    source = os.path.join(FOLDER, "large")
    sharded(source, max(2, round(gigabytes * 2)), (9_760, 12_800))
    name = f"{gigabytes:g} GB in tensors of 500 MB"
    there_and_back(name, source, 500)
    quantized(name, source, 500)
    budget = ["--memory", "300MB"]
    there_and_back(name + ", `--memory 300MB`", source, 340, budget)
    quantized(name + ", `--memory 300MB`", source, 340, budget)
    remove(source)


def huge(gigabytes):
    source = os.path.join(FOLDER, "huge.safetensors")
    rows = round(gigabytes * 1e9 / 4 / 25_600)
    write_safetensors(source, [("huge.weight", (rows, 25_600))])
    name = f"one tensor of {gigabytes:g} GB"
    there_and_back(name, source, 700)
    quantized(name, source, 700)
    remove(source)


def tiny():
    for form in CHOSEN:
        to, *more = form.split(" ")
        figures = {}
        for count in (10_000, 100_000):
            source = os.path.join(FOLDER, f"tiny-{count}.safetensors")
            if not os.path.exists(source):
                write_safetensors(source, [(f"layers.{i}.norm.weight", (8,)) for i in range(count)])
            target, back = os.path.join(SCRATCH, "made"), os.path.join(SCRATCH, "back.safetensors")
            there = run("convert", source, target + "/", "--to", to, *more, "--quiet")
            again = run("convert", target, back, "--quiet")
            shown = run("inspect", target)
            remove(target)
            remove(back)
            figures[count] = (there, again, shown)
        # Of processor time: others may be at work.
        ratios = [b[2] / a[2] for a, b in zip(figures[10_000], figures[100_000])]
        peak = max(figure[0] for figure in figures[100_000])
        seconds = ", ".join(f"{figure[2]:.1f}" for figure in figures[100_000])
        row(form, f"{seconds} s", ", ".join(f"{ratio:.1f}" for ratio in ratios), 14, f"{peak:.0f}")
    for count in (10_000, 100_000):
        remove(os.path.join(FOLDER, f"tiny-{count}.safetensors"))


def main():
    global ASSAY, FOLDER, SCRATCH, CHOSEN, CHOSEN_SCHEMES
    parser = argparse.ArgumentParser()
    parser.add_argument("assay")
    parser.add_argument("folder")
    parser.add_argument("--scratch")
    parser.add_argument("--gigabytes", type=float, default=6)
    parser.add_argument("--only", default="large,huge,tiny")
    parser.add_argument("--formats", default=",".join(FORMATS))
    parser.add_argument("--schemes", default=",".join(SCHEMES))
    options = parser.parse_args()
    ASSAY = os.path.abspath(options.assay)
    FOLDER = os.path.join(options.folder, f"assay-memory-{os.getpid()}")
    SCRATCH = os.path.join(options.scratch or options.folder, f"assay-memory-scratch-{os.getpid()}")
    CHOSEN = [name for name in options.formats.split(",") if name]
    CHOSEN_SCHEMES = [name for name in options.schemes.split(",") if name]
    chosen = options.only.split(",")
    os.makedirs(FOLDER)
    os.makedirs(SCRATCH)
    try:
        if "large" in chosen or "huge" in chosen:
            row("what", "format", "to, MB", "from, MB", "aim, MB", "time")
            row(*["---"] * 6)
        if "large" in chosen:
            large(options.gigabytes)
        if "huge" in chosen:
            huge(options.gigabytes * 5 / 6)
        if "tiny" in chosen:
            print()
            row("100,000 tensors", "processor: to, from, inspect", "against 10,000", "aim", "peak, MB")
            row(*["---"] * 5)
            tiny()
    finally:
        shutil.rmtree(FOLDER)
        shutil.rmtree(SCRATCH)


if __name__ == "__main__":
    main()
