"""Makes Sources/CKernels/math_coefficients.h and the goldens of the function tests.

Each polynomial minimises the greatest weighted error over its interval (Remez's exchange on a fine grid),
then its coefficients are rounded to the type one by one, lowest power first, and the rest are fitted again
after each rounding, so that the rounding of one is made good by those above it.

    python3 scripts/minimax.py                needs mpmath; prints the error of every polynomial
"""

import os
import struct

from mpmath import mp, mpf

mp.dps = 50
GRID = 500
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")


def rounded(value, kind):
    """The nearest float32 or float64, as an exact mpf."""
    if kind == "f64":
        return mpf(float(value))
    scale = mp.mpf(2) ** (24 - mp.frexp(value)[1]) if value else mpf(1)
    return mp.nint(value * scale) / scale


def grid(low, high):
    """Points crowded at both ends, where the error of a polynomial peaks; never the ends themselves."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mp.cos(mp.pi * (i + mpf(1) / 2) / GRID) for i in range(GRID)]


def remez(points, values, weights, powers):
    """Coefficients of sum c_k x^k over the given powers with the least greatest |weight (value - sum)|."""
    count = len(powers)
    chosen = [round((GRID - 1) * float(1 - mp.cos(mp.pi * i / count)) / 2) for i in range(count + 1)]
    for _ in range(30):
        rows = [[points[i] ** k for k in powers] + [(-1) ** n / weights[i]] for n, i in enumerate(chosen)]
        solution = mp.lu_solve(mp.matrix(rows), mp.matrix([values[i] for i in chosen]))
        coefficients = [solution[k] for k in range(count)]
        errors = [w * (v - sum(c * x**k for c, k in zip(coefficients, powers)))
                  for x, v, w in zip(points, values, weights)]
        peaks, worst = peaks_of(errors, count + 1), max(abs(e) for e in errors)
        if peaks is None or worst < abs(solution[count]) * mpf("1.0005"):
            break
        chosen = peaks
    return coefficients, worst


def peaks_of(errors, count):
    """The greatest error of each stretch of one sign; the weakest ends dropped until `count` remain."""
    peaks = []
    for i, e in enumerate(errors):
        if peaks and (errors[peaks[-1]] > 0) == (e > 0):
            if abs(e) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        else:
            peaks.append(i)
    if len(peaks) < count:
        return None
    while len(peaks) > count:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    return peaks


def fit(name, kind, function, weight, low, high, degree):
    """One polynomial: its coefficients in the type, and the weighted error that is left.

    Refitting needs a weight that vanishes wherever x does; the erfcx interval holds 0 without that.
    """
    points = grid(mpf(low), mpf(high))
    values, weights = [function(x) for x in points], [abs(weight(x)) for x in points]
    fixed, rest = [], values
    for power in range(degree + 1):
        if power == 0 or not name.startswith("erfcx"):
            coefficients, _ = remez(points, rest, weights, list(range(power, degree + 1)))
        fixed.append(rounded(coefficients.pop(0), kind))
        rest = [v - fixed[-1] * x**power for v, x in zip(rest, points)]
    left = max(abs(w * r) for w, r in zip(weights, rest))
    print(f"{name:24} degree {degree:2}  weighted error {mp.nstr(left, 3)}")
    return fixed


def literal(value, kind):
    return float(value).hex() + ("f" if kind == "f32" else "")


def exp_rest(r):
    return (mp.exp(r) - 1 - r) / r**2


def tanh_rest(z):
    x = mp.sqrt(z)
    return (mp.tanh(x) - x) / (x * z)


def erf_rest(z):
    x = mp.sqrt(z)
    return mp.erf(x) / x - 1


def erfcx_over_r(t, k):
    """erfc(x) exp(x^2) / r where r = 1 / (x + k) and t = 1 - 2 k r, so t = -1 is x = 0."""
    r = (1 - t) / (2 * k)
    x = 1 / r - k
    return mp.erfc(x) * mp.exp(x * x) / r


def log_rest(z):
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / (s * z)


def sine_rest(z):
    x = mp.sqrt(z)
    return (mp.sin(x) - x) / (x * z)


def cosine_rest(z):
    x = mp.sqrt(z)
    return (mp.cos(x) - 1 + z / 2) / z**2


def square(z):
    return z


def polynomials():
    """Name, type, function, weight (what turns its error into the function's), interval, degree."""
    half_ln2 = mp.log(2) / 2 * mpf("1.0005")
    tiny = mpf(10) ** -9
    for kind, degree in (("f32", 4), ("f64", 10)):
        yield "exp", kind, exp_rest, lambda r: r**2 * mp.exp(-r), -half_ln2, half_ln2, degree
    for kind, degree in (("f32", 4), ("f64", 10)):
        yield "tanh", kind, tanh_rest, square, tiny, mpf("0.390625"), degree
    for kind, degree in (("f32", 6), ("f64", 12)):
        yield "erf", kind, erf_rest, lambda z: mpf(1), tiny, mpf(1), degree
    for kind, degree, k, end in (("f32", 9, 3, mpf("10.6")), ("f64", 20, 4, mpf(28))):
        yield ("erfcx", kind, lambda t, k=k: erfcx_over_r(t, k), lambda t, k=k: 1 / erfcx_over_r(t, k),
               mpf(-1), 1 - 2 * k / (end + k), degree)
    yield "log", "f64", log_rest, square, tiny, mpf("0.0295"), 7
    quarter = (mp.pi / 4 * mpf("1.0005")) ** 2
    yield "sine", "f64", sine_rest, square, tiny, quarter, 6
    yield "cosine", "f64", cosine_rest, lambda z: z**2, tiny, quarter, 6


def write_coefficients():
    lines = ["// Coefficients of math_functions.h, lowest power first. Made by scripts/minimax.py; do not edit.",
             "#pragma once", ""]
    for name, kind, function, weight, low, high, degree in polynomials():
        coefficients = fit(f"{name}_{kind}", kind, function, weight, low, high, degree)
        kind_c = "float" if kind == "f32" else "double"
        lines.append(f"static const {kind_c} ck_{name}_coefficients_{kind}[{degree + 1}] = {{")
        lines += [f"    {literal(c, kind)}," for c in coefficients]
        lines.append("};")
    with open(os.path.join(ROOT, "Sources/CKernels/math_coefficients.h"), "w") as file:
        file.write("\n".join(lines) + "\n")


def golden_arguments(name):
    """Where errors show: both sides of every seam, the ends of the range, and numbers between."""
    span = {"exp": 740, "tanh": 22, "erf": 6, "log": 40, "sine": 3000, "cosine": 3000}[name]
    seams = [0.5, 0.624999, 0.625, 0.999999, 1.0, 1.000001, 0.7071067, 1.4142136, 1e-5, 1e-300, 5e-324]
    state, between = 1, []
    for _ in range(150):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        between.append((state / 2**63 - 1) * span * (abs(state / 2**63 - 1) if len(between) % 2 else 1))
    both = [sign * x for x in seams + [span / 4, span / 1.0] for sign in (1, -1)]
    return [abs(x) for x in seams + between] if name == "log" else both + between


def write_goldens():
    functions = {"exp": mp.exp, "tanh": mp.tanh, "erf": mp.erf, "log": mp.log, "sine": mp.sin, "cosine": mp.cos}
    lines = ["// Arguments and values of the float64 functions, to 50 digits and then rounded, as bit patterns.",
             "// Made by scripts/minimax.py; do not edit.", "", "enum FunctionGoldens {"]
    for name, function in functions.items():
        lines.append(f"    static let {name}: [(argument: UInt64, value: UInt64)] = [")
        for x in golden_arguments(name):
            bits = [struct.unpack("<Q", struct.pack("<d", v))[0] for v in (x, float(function(mpf(x))))]
            lines.append(f"        (0x{bits[0]:016x}, 0x{bits[1]:016x}),")
        lines.append("    ]")
    with open(os.path.join(ROOT, "Tests/CKernelsTests/FunctionGoldens.swift"), "w") as file:
        file.write("\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    write_goldens()
    write_coefficients()
