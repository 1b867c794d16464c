import AssayCKernels
import Testing

/// Digests of outputs for fixed inputs. Every machine and every level must reproduce them.
///
/// One that changes is a change of arithmetic: it raises CK_ARITHMETIC_VERSION, and figures made before it are not
/// compared with figures made after it.
@Suite struct DigestTests {
    @Test func arithmeticVersionIsTheOneOfTheseDigests() {
        #expect(CK_ARITHMETIC_VERSION == 1)
    }

    @Test func outputsHaveTheCommittedDigests() {
        for level in MathLevel.available {
            let digests = Self.digests(level.kernels)
            for (name, value) in digests {
                #expect(Self.committed[name] == value, "\(level) \(name): 0x\(String(value, radix: 16))")
            }
        }
    }

    private static let committed: [String: UInt64] = [
        "product_f32": 0x1a87cb24468c776d,
        "product_f64": 0x13d4a1a54f7d2827,
        "attention_f32": 0xcd174b374eeb8ba0,
        "attention_f64": 0x9bf0273e3190338e,
        "layer_norm_f32": 0x4bc2b9b8f448c590,
        "layer_norm_f64": 0x8337c30618dde460,
        "rms_norm_f32": 0x11707f50d5b38c97,
        "rms_norm_f64": 0x93f98672034f7a16,
        "softmax_rows_f32": 0xe451c6b28b76374b,
        "log_softmax_rows_f64": 0xd256d21d78350ec8,
        "compare_f32": 0xcbc8d5805c0d0a27,
        "exp_f32": 0xce9d3fb6358a0a3a,
        "tanh_f32": 0xc75d5d01a7f89e26,
        "erf_f32": 0xef8efafc75cba641,
        "gelu_tanh_f32": 0x50bacadd543dd1dd,
        "gelu_erf_f32": 0x1b9273495d2afb18,
        "gelu_quick_f32": 0xf70958fff2bdecc1,
        "silu_f32": 0x10b461912f50c47a,
        "sigmoid_f32": 0x22fac2d06e0c3cb9,
        "exp_f64": 0x5cdf8263118cef77,
        "tanh_f64": 0xb3ec7926fdba8717,
        "erf_f64": 0xf53aa088ab049323,
        "gelu_tanh_f64": 0x4d93ea32662c9829,
        "gelu_erf_f64": 0xa6bdb7935b32e643,
        "silu_f64": 0xf1658d25e132024b,
        "log_f64": 0x6a88e3a6ed0442e1,
        "sine_f64": 0xe9551dd31b68a376,
        "cosine_f64": 0xf206ad3a1301914b,
    ]

    private static func digests(_ kernels: ck_math) -> [(String, UInt64)] {
        var random = Seeded(2024)
        let x = random.floats(37 * 600, scale: 3), w = random.floats(600 * 131)
        return [
            ("product_f32", product32(kernels, x, w)), ("product_f64", product64(kernels, x, w)),
            ("attention_f32", attention32(kernels, x)), ("attention_f64", attention64(kernels, x)),
        ] + rows(kernels, x, w) + functions(kernels, x)
    }

    private static func product32(_ kernels: ck_math, _ a: [Float], _ w: [Float]) -> UInt64 {
        let panels = (131 + kernels.panel_width_f32 - 1) / kernels.panel_width_f32
        var packed = [Float](repeating: 0, count: kernels.packed_count_f32(600, 131))
        var c = [Float](repeating: 0, count: 37 * 131)
        kernels.pack_f32(w, 131, 1, 600, 131, 0, panels, &packed)
        kernels.product_f32(a, 600, packed, &c, 131, 37, 600, 131, 0, panels)
        return digest(c)
    }

    private static func product64(_ kernels: ck_math, _ a: [Float], _ w: [Float]) -> UInt64 {
        let panels = (131 + kernels.panel_width_f64 - 1) / kernels.panel_width_f64
        var packed = [Double](repeating: 0, count: kernels.packed_count_f64(600, 131))
        var c = [Double](repeating: 0, count: 37 * 131)
        kernels.pack_f64(w, 131, 1, 600, 131, 0, panels, &packed)
        kernels.product_f64(a.map { Double($0) * 1.1 }, 600, packed, &c, 131, 37, 600, 131, 0, panels)
        return digest(c)
    }

    /// 20 causal rows of 64 over 150 keys, q, k and v from one array.
    private static func attention32(_ kernels: ck_math, _ x: [Float]) -> UInt64 {
        let end = (131...150).map { $0 }
        var out = [Float](repeating: 0, count: 20 * 64)
        var scratch = [Float](repeating: 0, count: kernels.attention_scratch_count_f32(64))
        x.withUnsafeBufferPointer { x in
            end.withUnsafeBufferPointer { end in
                out.withUnsafeMutableBufferPointer { out in
                    var head = ck_attention_f32()
                    (head.q, head.q_stride) = (x.baseAddress, 64)
                    (head.k, head.k_stride) = (x.baseAddress! + 1300, 64)
                    (head.v, head.v_stride) = (x.baseAddress! + 11000, 64)
                    (head.out, head.out_stride) = (out.baseAddress, 64)
                    (head.rows, head.width, head.value_width, head.scale) = (20, 64, 64, 0.125)
                    head.end = end.baseAddress
                    kernels.attention_f32(&head, &scratch)
                }
            }
        }
        return digest(out)
    }

    private static func attention64(_ kernels: ck_math, _ x: [Float]) -> UInt64 {
        let end = (131...150).map { $0 }, x = x.map { Double($0) * 1.1 }
        var out = [Double](repeating: 0, count: 20 * 64)
        var scratch = [Double](repeating: 0, count: kernels.attention_scratch_count_f64(64))
        x.withUnsafeBufferPointer { x in
            end.withUnsafeBufferPointer { end in
                out.withUnsafeMutableBufferPointer { out in
                    var head = ck_attention_f64()
                    (head.q, head.q_stride) = (x.baseAddress, 64)
                    (head.k, head.k_stride) = (x.baseAddress! + 1300, 64)
                    (head.v, head.v_stride) = (x.baseAddress! + 11000, 64)
                    (head.out, head.out_stride) = (out.baseAddress, 64)
                    (head.rows, head.width, head.value_width, head.scale) = (20, 64, 64, 0.125)
                    head.end = end.baseAddress
                    kernels.attention_f64(&head, &scratch)
                }
            }
        }
        return digest(out)
    }

    private static func rows(_ kernels: ck_math, _ x: [Float], _ weight: [Float]) -> [(String, UInt64)] {
        var out = [Float](repeating: 0, count: x.count), wide = [Double](repeating: 0, count: x.count)
        let input = x.map(Double.init)
        var digests: [(String, UInt64)] = []
        kernels.layer_norm_f32(x, weight, weight, 1e-5, &out, 37, 600)
        digests.append(("layer_norm_f32", digest(out)))
        kernels.layer_norm_f64(input, weight, weight, 1e-5, &wide, 37, 600)
        digests.append(("layer_norm_f64", digest(wide)))
        kernels.rms_norm_f32(x, weight, 1e-6, &out, 37, 600)
        digests.append(("rms_norm_f32", digest(out)))
        kernels.rms_norm_f64(input, weight, 1e-6, &wide, 37, 600)
        digests.append(("rms_norm_f64", digest(wide)))
        kernels.softmax_rows_f32(x, &out, 37, 600)
        digests.append(("softmax_rows_f32", digest(out)))
        kernels.log_softmax_rows_f64(input, &wide, 37, 600)
        digests.append(("log_softmax_rows_f64", digest(wide)))
        var comparison = ck_comparison()
        kernels.compare_f32(x, weight, x.count, &comparison)
        digests.append(("compare_f32", digest([comparison.sum_ref2, comparison.sum_dot, comparison.sum_diff2])))
        return digests
    }

    private static func functions(_ kernels: ck_math, _ x: [Float]) -> [(String, UInt64)] {
        let input = x.map { Double($0) * 2.3 }
        let narrow = [
            ("exp_f32", kernels.exp_f32), ("tanh_f32", kernels.tanh_f32), ("erf_f32", kernels.erf_f32),
            ("gelu_tanh_f32", kernels.gelu_tanh_f32), ("gelu_erf_f32", kernels.gelu_erf_f32),
            ("gelu_quick_f32", kernels.gelu_quick_f32), ("silu_f32", kernels.silu_f32),
            ("sigmoid_f32", kernels.sigmoid_f32),
        ].map { name, kernel in
            var out = [Float](repeating: 0, count: x.count)
            kernel!(x, &out, x.count)
            return (name, digest(out))
        }
        let wide = [
            ("exp_f64", kernels.exp_f64), ("tanh_f64", kernels.tanh_f64), ("erf_f64", kernels.erf_f64),
            ("gelu_tanh_f64", kernels.gelu_tanh_f64), ("gelu_erf_f64", kernels.gelu_erf_f64),
            ("silu_f64", kernels.silu_f64),
            ("log_f64", kernels.log_f64), ("sine_f64", kernels.sine_f64), ("cosine_f64", kernels.cosine_f64),
        ].map { name, kernel in
            var out = [Double](repeating: 0, count: x.count)
            kernel!(input, &out, x.count)
            return (name, digest(out))
        }
        return narrow + wide
    }
}
