"""Every format beside its owner's library: reading, dequantizing, writing; a long index; memory.

Rows alternate Assay and the owner in one run and show medians: GB/s by the clock, the ratio of the clocks, and the ratio of
the processor time that both took, which other work on the machine spoils less. What each side does:

  read        both open the file and read every tensor, inside a process that runs already (format-reader calls Assay's
              readers; they check what the owners check, CRC-32 of NumPy among it). The owners give each tensor new memory,
              which the system must provide. Assay lets tensors pass by in pieces, as in all that it does, with as many threads
              as there are processors; and once more with one thread and new memory for each tensor, as the owners do.
  dequantize  the same to float32; the gguf package's `dequantize`
  write       the whole way from a safetensors file. Assay: the command, without digests and re-reading, timed by itself before
              the flush to the disk; the owner: the tensors read with the safetensors library, written with its own
  index       the command against Python with the safetensors library, start included
  memory      the command's peak resident memory, from and to safetensors, 1.6 GB in tensors of 400 MB

Usage: peers.py ASSAY FORMAT_READER FOLDER [--megabytes 256] [--runs 9] [--only PART] [--memory-gigabytes 1.6]
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

import gguf
import h5py
import numpy as np
import pyzstd
import torch
import zstandard
import ztensor
from safetensors import safe_open
from safetensors.numpy import save_file


def timed(action):
    """Seconds by the clock and of processors, those of finished children included."""
    begin, before = time.perf_counter(), os.times()
    action()
    return time.perf_counter() - begin, sum(os.times()[:4]) - sum(before[:4])


def alternate(*actions):
    """The median seconds, by the clock and of processors, of actions that take turns. A first turn is not counted."""
    turns = [[action() for action in actions] for _ in range(RUNS + 1)][1:]
    return [[statistics.median(kind) for kind in zip(*column)] for column in zip(*turns)]


class Reader:
    """A running format-reader: a call gives the seconds of one reading."""

    def __init__(self, mode, threads, path, *options):
        command = [FORMAT_READER, mode, str(threads), ASSAY, path, *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        seconds, processor, self.size = map(float, self.process.stdout.readline().split())
        return seconds, processor

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def side_by_side(name, aim, owner, action, file, *options):
    """A row: Assay in its way, in the owner's way, the owner."""
    readers = Reader("pieces", THREADS, file, *options), Reader("whole", 1, file, *options)
    ours, single, theirs = alternate(*readers, lambda: timed(action))
    size = readers[0].size / 1e9
    for reader in readers:
        reader.close()
    print(f"| {name} | {size / ours[0]:.2f} | {size / single[0]:.2f} | {owner} | {size / theirs[0]:.2f} | {theirs[0] / ours[0]:.2f} |"
          f" {theirs[0] / single[0]:.2f} | {theirs[1] / single[1]:.2f} | {aim} |", flush=True)  # fmt: skip


COLUMNS = "Assay, GB/s", "one thread, new memory", "owner", "GB/s", "ratio", "one thread", "its processor time", "aim"


def path(name):
    return os.path.join(FOLDER, name)


def settle(*files):
    """Copies files plainly: how the cache holds a file, and so how fast it is read, depends on how it was written."""
    for file in files:
        shutil.copyfile(file, file + ".copy")
        os.replace(file + ".copy", file)


def heading(*columns):
    print("\n| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|", flush=True)


# Reading. The owners' ways, each to new memory.


def safetensors_arrays(file):
    with safe_open(file, "np") as opened:
        for key in opened.keys():
            yield key, opened.get_tensor(key)


def read_safetensors(file):
    for _ in safetensors_arrays(file):
        pass


def read_hdf5(file):
    with h5py.File(file, "r") as opened:
        for key in opened:
            opened[key][()]


def read_npz(file):
    with np.load(file) as opened:
        for key in opened.files:
            opened[key]


def read_gguf(file):
    for tensor in gguf.GGUFReader(file).tensors:
        np.array(tensor.data)


def read_ztensor(file):
    with ztensor.open(file) as opened:
        for tensor in opened.values():
            np.array(memoryview(tensor)) if tensor.caps.map else tensor.tobytes()


def read_pyzstd(file):
    with pyzstd.SeekableZstdFile(file, "r") as opened:
        while opened.read(4 << 20):
            pass


def read_zstandard(file):
    with open(file, "rb") as opened, zstandard.ZstdDecompressor().stream_reader(opened, read_across_frames=True) as stream:
        while stream.read(4 << 20):
            pass


def read_zstd(file):
    subprocess.run(["zstd", "-d", "-q", "-c", file], stdout=subprocess.DEVNULL, check=True)


def reading():
    make_sources()
    heading("read", *COLUMNS)
    for file, owner, action, aim in [
        ("source.safetensors", "safetensors", read_safetensors, 1),
        ("contiguous.h5", "h5py", read_hdf5, 1),
        ("deflated.h5", "h5py", read_hdf5, 2),
        ("chunked.h5", "h5py", read_hdf5, 2),
        ("stored.gguf", "gguf", read_gguf, 1),
        ("zip.pt", "torch.load", lambda file: torch.load(file, weights_only=True), 1),
        ("zip.pt", "torch.load, mmap, copied", lambda file: [t.clone() for t in torch.load(file, mmap=True).values()], 1),
        ("stream.pt", "torch.load", lambda file: torch.load(file, weights_only=True), 1),
        ("one.npy", "numpy", np.load, 1),
        ("stored.npz", "numpy", read_npz, 1),
        ("deflated.npz", "numpy", read_npz, 2),
        ("canonical.zt", "ztensor, copied", read_ztensor, 1),
        ("encoded.zt", "ztensor", read_ztensor, 1),
        ("source.safetensors.zst", "pyzstd", read_pyzstd, 2),
        ("source.safetensors.zst", "zstandard", read_zstandard, 2),
        ("source.safetensors.zst", "zstd -d -c", read_zstd, 2),
    ]:
        side_by_side(file, aim, owner, lambda: action(path(file)), path(file))


def make_sources():
    """The same tensors in every format, by the owners' libraries; seekable zstd by pyzstd, as large as Assay's frames."""
    arrays = dict(safetensors_arrays(path("source.safetensors")))
    with h5py.File(path("contiguous.h5"), "w") as file:
        for key, array in arrays.items():
            file.create_dataset(key, data=array)
    for name, options in (("deflated.h5", {"compression": "gzip", "compression_opts": 1, "shuffle": True}), ("chunked.h5", {})):
        with h5py.File(path(name), "w") as file:
            for key, array in arrays.items():
                chunks = (min(64, len(array)), *array.shape[1:])
                file.create_dataset(key, data=array, chunks=chunks, **options)
    write_gguf(arrays, path("stored.gguf"))
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    torch.save(tensors, path("zip.pt"))
    torch.save(tensors, path("stream.pt"), _use_new_zipfile_serialization=False)
    np.save(path("one.npy"), np.concatenate([array.reshape(-1) for array in arrays.values()]))
    np.savez(path("stored.npz"), **arrays)
    np.savez_compressed(path("deflated.npz"), **arrays)
    ztensor.convert(path("source.safetensors"), path("canonical.zt"))
    writer = ztensor.Writer(path("encoded.zt"), canonical=False)
    for key, array in arrays.items():
        writer.add(key, array.tobytes(), list(array.shape), "f32", encoding="zt.zstd-seekable/1")
    writer.finish()
    write_zstd(path("source.safetensors"), path("source.safetensors.zst"))
    settle(*(entry.path for entry in os.scandir(FOLDER)))


# Dequantizing.


def dequantizing():
    heading("dequantize to float32", *COLUMNS)
    for kind in ("Q4_0", "Q8_0", "Q4_K", "Q6_K"):
        file, quantized = path(f"{kind}.gguf"), gguf.GGMLQuantizationType[kind]
        elements, size = gguf.GGML_QUANT_SIZES[quantized]
        writer = gguf.GGUFWriter(file, "none")
        rows, columns = 4096, 4096
        for i in range(max(1, MEGABYTES // 64)):
            # Any bytes are blocks; scales that are NaN or infinite would cost the peer more.
            blocks = np.random.default_rng(i).integers(0, 120, (rows, columns // elements * size), np.uint8)
            writer.add_tensor(f"blocks.{i}", blocks, raw_dtype=quantized)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        settle(file)
        action = lambda: [gguf.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(file).tensors]
        side_by_side(kind.lower(), 5, "gguf", action, file, "f32")
        os.remove(file)


# Writing.


def write_hdf5(arrays, file, **options):
    with h5py.File(file, "w") as opened:
        for key, array in arrays.items():
            chunks = (min(64, len(array)), *array.shape[1:]) if options else None
            opened.create_dataset(key, data=array, chunks=chunks, **options)


def write_gguf(arrays, file):
    writer = gguf.GGUFWriter(file, "none")
    for key, array in arrays.items():
        writer.add_tensor(key, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_torch(arrays, file):
    torch.save({key: torch.from_numpy(array) for key, array in arrays.items()}, file)


def write_ztensor(arrays, file):
    writer = ztensor.Writer(file)
    for key in sorted(arrays):
        writer.add(key, memoryview(arrays[key]).cast("B"), list(arrays[key].shape), "f32")
    writer.finish()


def write_zstd(source, target):
    with open(source, "rb") as plain, pyzstd.SeekableZstdFile(target, "w", level_or_option=1, max_frame_content_size=1 << 20) as out:
        shutil.copyfileobj(plain, out, 4 << 20)


def writing():
    source = path("source.safetensors")
    size = os.path.getsize(source) / 1e9
    gzip = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    heading("write", "Assay, GB/s", "owner", "GB/s", "ratio", "processor time", "aim")
    def arrays(write):
        return lambda source, target: write(dict(safetensors_arrays(source)), target)

    for end, options, owner, write in [
        (".safetensors", [], "safetensors", arrays(save_file)),
        (".h5", [], "h5py", arrays(write_hdf5)),
        (".h5", ["--deflate", "1"], "h5py", arrays(lambda found, target: write_hdf5(found, target, **gzip))),
        (".gguf", [], "gguf", arrays(write_gguf)),
        (".pt", [], "torch.save", arrays(write_torch)),
        (".npz", [], "numpy", arrays(lambda found, target: np.savez(target, **found))),
        (".zt", [], "ztensor", arrays(write_ztensor)),
        (".zt", [], "ztensor.convert", ztensor.convert),
        (".safetensors.zst", [], "pyzstd", write_zstd),
    ]:
        out, peer_out, outputs = path("out" + end), path("peer" + end), []

        def ours():
            command = [ASSAY, "convert", source, out, "--overwrite", "--certificate", "none", "--no-verify", "--json", "--quiet"]
            _, processor = timed(lambda: outputs.append(subprocess.run([*command, *options], check=True, capture_output=True).stdout))
            os.remove(out)
            return json.loads(outputs.pop())["seconds"]["converting"], processor

        def theirs():
            seconds = timed(lambda: write(source, peer_out))
            os.remove(peer_out)
            return seconds

        a, b = alternate(ours, theirs)
        print(f"| {end} {' '.join(options)} | {size / a[0]:.2f} | {owner} | {size / b[0]:.2f} | {b[0] / a[0]:.2f} | {b[1] / a[1]:.2f} |"
              " 1 |", flush=True)  # fmt: skip


# A long index.


def index():
    folder = path("index")
    os.makedirs(folder)
    shards, tensors, weight_map = 150, 100_000, {}
    value = np.zeros((2, 3), np.float32)
    for shard in range(shards):
        name = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        names = [f"model.layers.{i // 100}.mlp.experts.{i % 100}.down_proj.weight" for i in range(shard, tensors, shards)]
        save_file(dict.fromkeys(names, value), os.path.join(folder, name))
        weight_map |= dict.fromkeys(names, name)
    file = os.path.join(folder, "model.safetensors.index.json")
    with open(file, "w") as out:
        json.dump({"metadata": {"total_size": tensors * value.nbytes}, "weight_map": weight_map}, out)
    code = (
        "import json, os, sys\nfrom safetensors import safe_open\nfolder = os.path.dirname(sys.argv[1])\n"
        "for name in sorted(set(json.load(open(sys.argv[1]))['weight_map'].values())):\n"
        "  with safe_open(os.path.join(folder, name), 'np') as f:\n"
        "    [(k, f.get_slice(k).get_shape(), f.get_slice(k).get_dtype()) for k in f.keys()]"
    )
    # The 8 MB of text go to a file: a pipe waits for who reads it, here this script.
    def inspect():
        with open(path("index.txt"), "wb") as out:
            subprocess.run([ASSAY, "inspect", file], check=True, stdout=out)

    ours, theirs = alternate(
        lambda: timed(inspect),
        lambda: timed(lambda: subprocess.run([sys.executable, "-c", code, file], check=True)))
    heading("index", "Assay", "Python safetensors", "ratio", "processor time", "aim")
    print(f"| 100,000 tensors in 150 shards | {ours[0] * 1000:.0f} ms | {theirs[0] * 1000:.0f} ms | {theirs[0] / ours[0]:.2f} |"
          f" {theirs[1] / ours[1]:.2f} | 300 ms |", flush=True)  # fmt: skip
    shutil.rmtree(folder)


# Memory.


def memory():
    """A process inherits the peak of the one that starts it, so a small one of its own starts the command."""
    measure = (
        "import resource, subprocess, sys\nsubprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )

    def peak(*arguments):
        command = [sys.executable, "-c", measure, ASSAY, "convert", *arguments, "--quiet", "--certificate", "none", "--overwrite"]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1000

    large = path("large.safetensors")
    rows = round(10_000 * MEMORY_GIGABYTES / 1.6)
    draw = np.random.default_rng(0)
    save_file({f"t{i}": draw.standard_normal((rows, 10_000), np.float32) for i in range(4)}, large)
    heading("memory", "to the format", "from the format", "aim")
    for end, *options in ((".safetensors",), (".pt",), (".h5",), (".h5", "--deflate", "1"), (".zplanes",), (".gguf",), (".npz",),
                          (".zt",), (".safetensors.zst",), (".gguf.zst",)):
        out, back = path("large-out" + end), path("back.safetensors")
        to, back_again = peak(large, out, *options), peak(out, back)
        print(f"| {end} {' '.join(options)} | {to:.0f} MB | {back_again:.0f} MB | 500 MB |", flush=True)
        os.remove(out)
        os.remove(back)
    with h5py.File(path("large.h5"), "w") as file:
        file.create_dataset("t", data=draw.standard_normal((rows, 10_000), np.float32), chunks=(1000, 1000), compression="gzip",
                            compression_opts=1)
    print(f"| .h5 of h5py, chunks of 1000 x 1000 | | {peak(path('large.h5'), path('back.safetensors')):.0f} MB | 500 MB |", flush=True)
    torch.save({"t": torch.from_numpy(draw.standard_normal((rows, 10_000), np.float32)).t()}, path("columns.pt"))
    print(f"| .pt, transposed | | {peak(path('columns.pt'), path('back.safetensors')):.0f} MB | 500 MB |", flush=True)


def main():
    global ASSAY, FORMAT_READER, FOLDER, RUNS, MEGABYTES, THREADS, MEMORY_GIGABYTES
    parser = argparse.ArgumentParser()
    parser.add_argument("assay")
    parser.add_argument("format_reader")
    parser.add_argument("folder")
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--memory-gigabytes", type=float, default=1.6)
    parts = {"reading": reading, "dequantizing": dequantizing, "writing": writing, "index": index, "memory": memory}
    parser.add_argument("--only", action="append", choices=parts)
    options = parser.parse_args()
    ASSAY, FORMAT_READER, RUNS = os.path.abspath(options.assay), os.path.abspath(options.format_reader), options.runs
    MEGABYTES, THREADS, MEMORY_GIGABYTES = options.megabytes, os.cpu_count(), options.memory_gigabytes
    FOLDER = os.path.join(options.folder, f"assay-formats-{os.getpid()}")
    os.makedirs(FOLDER)
    try:
        draw = np.random.default_rng(20261129)
        count = max(1, round(MEGABYTES * 1e6 / (1024 * 4096 * 4)))
        save_file({f"layers.{i}.weight": draw.standard_normal((1024, 4096), np.float32) for i in range(count)},
                  path("source.safetensors"))
        for name in options.only or parts:
            parts[name]()
    finally:
        shutil.rmtree(FOLDER)


if __name__ == "__main__":
    main()
