import AssayCKernels

/// The number type of an engine, with its kernels. Thin names over the C table; shapes and strides are elements.
protocol Scalar: BitwiseCopyable, Sendable {
    static var precision: Precision { get }
    static var zero: Self { get }
    static func double(_ value: Self) -> Double
    static func panelWidth(_ k: KernelTable) -> Int
    static func packedCount(_ k: KernelTable, _ inputs: Int, _ outputs: Int) -> Int
    static func pack(
        _ k: KernelTable, _ w: UnsafePointer<Float>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Self>)
    static func pack(
        _ k: KernelTable, _ w: UnsafePointer<Double>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Self>)
    /// Packs numbers of this type.
    static func pack(
        _ k: KernelTable, own: UnsafePointer<Self>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Self>)
    static func product(
        _ k: KernelTable, _ a: UnsafePointer<Self>, _ packed: UnsafePointer<Self>, _ c: UnsafeMutablePointer<Self>,
        _ cStride: Int, _ rows: Int, _ inputs: Int, _ outputs: Int, _ panels: Range<Int>)
    static func layerNorm(
        _ k: KernelTable, _ x: UnsafePointer<Self>, _ weight: UnsafePointer<Float>?, _ bias: UnsafePointer<Float>?,
        _ epsilon: Double, _ out: UnsafeMutablePointer<Self>, _ rows: Int, _ columns: Int)
    static func rootMeanSquareNorm(
        _ k: KernelTable, _ x: UnsafePointer<Self>, _ weight: UnsafePointer<Float>?, _ epsilon: Double,
        _ out: UnsafeMutablePointer<Self>, _ rows: Int, _ columns: Int)
    static func add(
        _ k: KernelTable, _ a: UnsafePointer<Self>, _ b: UnsafePointer<Self>, _ out: UnsafeMutablePointer<Self>,
        _ count: Int)
    static func multiply(
        _ k: KernelTable, _ a: UnsafePointer<Self>, _ b: UnsafePointer<Self>, _ out: UnsafeMutablePointer<Self>,
        _ count: Int)
    static func scale(_ k: KernelTable, _ x: UnsafeMutablePointer<Self>, _ factor: Double, _ count: Int)
    /// Turns pairs of a head's features in place.
    static func rotate(
        _ k: KernelTable, _ x: UnsafeMutablePointer<Self>, _ cosines: UnsafePointer<Self>,
        _ sines: UnsafePointer<Self>, _ pairs: Int, isInterleaved: Bool)
    static func addRow(
        _ k: KernelTable, _ x: UnsafeMutablePointer<Self>, _ bias: UnsafePointer<Float>, _ rows: Int, _ columns: Int)
    /// Softmax over every row.
    static func softmax(
        _ k: KernelTable, _ x: UnsafePointer<Self>, _ out: UnsafeMutablePointer<Self>, _ rows: Int, _ columns: Int)
    static func sigmoid(_ k: KernelTable, _ x: UnsafePointer<Self>, _ out: UnsafeMutablePointer<Self>, _ count: Int)
    /// Numbers below `low` become that, and those above `high` that.
    static func clamp(_ k: KernelTable, _ x: UnsafeMutablePointer<Self>, _ low: Double, _ high: Double, _ count: Int)
    static func apply(_ k: KernelTable, _ function: Activation, _ x: UnsafeMutablePointer<Self>, _ count: Int)
    static func attend(_ k: KernelTable, _ head: HeadRows<Self>)
    static func widen(_ k: KernelTable, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Self>, _ count: Int)
    /// Takes float64 numbers: as they are, or rounded to float32.
    static func take(_ k: KernelTable, _ x: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Self>, _ count: Int)
    /// Hands out float32 numbers.
    static func narrow(_ k: KernelTable, _ x: UnsafePointer<Self>, _ out: UnsafeMutablePointer<Float>, _ count: Int)
    /// Rounds to float32 in place; float32 numbers are already.
    static func roundToFloat32(_ k: KernelTable, _ x: UnsafeMutablePointer<Self>, _ count: Int)
}

/// Steps between elements of a weight matrix along the product's input and output.
struct MatrixStrides: Sendable {
    var input: Int
    var output: Int
}

/// Some query rows of one head of one sequence.
struct HeadRows<S: Scalar> {
    var q: UnsafePointer<S>
    var k: UnsafePointer<S>
    var v: UnsafePointer<S>
    var out: UnsafeMutablePointer<S>
    var queryStride: Int
    var keyStride: Int
    var valueStride: Int
    var outStride: Int
    var rows: Int
    /// Of queries and keys.
    var width: Int
    /// Of values and results.
    var valueWidth: Int
    var scale: Double
    var keyBegin: Int
    /// For every row, the first key that it may see, `keyBegin` at least; nil for that one.
    var begins: UnsafePointer<Int>?
    /// For every row, the key behind the last it may see.
    var ends: UnsafePointer<Int>
    /// 0 for keys that nobody sees; nil where all are seen.
    var mask: UnsafePointer<UInt8>?
    /// Added to the scores of every row, an element a key; nil for nothing.
    var bias: UnsafePointer<S>?
    /// From a row's bias to that of the next.
    var biasStride = 0
    var softCap: Double?
    var sink: UnsafePointer<S>?
    /// Keys left out of `k` and `v`: whole blocks of the first ones, which are all as the first block there is.
    var repeatedKeyCount = 0
}

/// The kernels of one dispatch level.
struct KernelTable: @unchecked Sendable {  // reason: a constant table of functions
    let pointer: UnsafePointer<ck_math>
}

extension Float: Scalar {
    static var precision: Precision { .float32 }
    static func double(_ value: Float) -> Double { Double(value) }
    static func panelWidth(_ k: KernelTable) -> Int { k.pointer.pointee.panel_width_f32 }
    static func packedCount(_ k: KernelTable, _ inputs: Int, _ outputs: Int) -> Int {
        k.pointer.pointee.packed_count_f32(inputs, outputs)
    }
    static func pack(
        _ k: KernelTable, _ w: UnsafePointer<Float>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Float>
    ) {
        k.pointer.pointee.pack_f32(
            w, strides.input, strides.output, inputs, outputs, panels.lowerBound, panels.upperBound, packed)
    }
    static func pack(
        _ k: KernelTable, _ w: UnsafePointer<Double>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Float>
    ) {
        preconditionFailure("a float32 engine reads its weights as float32")
    }
    static func pack(
        _ k: KernelTable, own: UnsafePointer<Float>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Float>
    ) {
        pack(k, own, strides, inputs, outputs, panels, packed)
    }
    static func product(
        _ k: KernelTable, _ a: UnsafePointer<Float>, _ packed: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>,
        _ cStride: Int, _ rows: Int, _ inputs: Int, _ outputs: Int, _ panels: Range<Int>
    ) {
        k.pointer.pointee.product_f32(
            a, inputs, packed, c, cStride, rows, inputs, outputs, panels.lowerBound, panels.upperBound)
    }
    static func layerNorm(
        _ k: KernelTable, _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>?, _ bias: UnsafePointer<Float>?,
        _ epsilon: Double, _ out: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int
    ) {
        k.pointer.pointee.layer_norm_f32(x, weight, bias, epsilon, out, rows, columns)
    }
    static func rootMeanSquareNorm(
        _ k: KernelTable, _ x: UnsafePointer<Float>, _ weight: UnsafePointer<Float>?, _ epsilon: Double,
        _ out: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int
    ) {
        k.pointer.pointee.rms_norm_f32(x, weight, epsilon, out, rows, columns)
    }
    static func scale(_ k: KernelTable, _ x: UnsafeMutablePointer<Float>, _ factor: Double, _ count: Int) {
        k.pointer.pointee.scale_f32(x, Float(factor), count)
    }
    static func rotate(
        _ k: KernelTable, _ x: UnsafeMutablePointer<Float>, _ cosines: UnsafePointer<Float>,
        _ sines: UnsafePointer<Float>, _ pairs: Int, isInterleaved: Bool
    ) {
        k.pointer.pointee.rotate_f32(x, cosines, sines, pairs, isInterleaved ? 1 : 0)
    }
    static func add(
        _ k: KernelTable, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>,
        _ count: Int
    ) {
        k.pointer.pointee.add_f32(a, b, out, count)
    }
    static func multiply(
        _ k: KernelTable, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>,
        _ count: Int
    ) {
        k.pointer.pointee.multiply_f32(a, b, out, count)
    }
    static func addRow(
        _ k: KernelTable, _ x: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>, _ rows: Int, _ columns: Int
    ) {
        k.pointer.pointee.add_row_f32(x, bias, rows, columns)
    }
    static func softmax(
        _ k: KernelTable, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ rows: Int, _ columns: Int
    ) {
        k.pointer.pointee.softmax_rows_f32(x, out, rows, columns)
    }
    static func sigmoid(_ k: KernelTable, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int) {
        k.pointer.pointee.sigmoid_f32(x, out, count)
    }
    static func clamp(_ k: KernelTable, _ x: UnsafeMutablePointer<Float>, _ low: Double, _ high: Double, _ count: Int) {
        k.pointer.pointee.clamp_f32(x, Float(low), Float(high), count)
    }
    static func apply(_ k: KernelTable, _ function: Activation, _ x: UnsafeMutablePointer<Float>, _ count: Int) {
        let table = k.pointer.pointee
        switch function {
        case .geluErf: table.gelu_erf_f32(x, x, count)
        case .geluTanh: table.gelu_tanh_f32(x, x, count)
        case .quickGELU: table.gelu_quick_f32(x, x, count)
        case .relu: table.relu_f32(x, x, count)
        case .reluSquared:
            table.relu_f32(x, x, count)
            table.multiply_f32(x, x, x, count)
        case .silu: table.silu_f32(x, x, count)
        case .tanh: table.tanh_f32(x, x, count)
        }
    }
    static func attend(_ k: KernelTable, _ head: HeadRows<Float>) {
        var arguments = ck_attention_f32(
            q: head.q, q_stride: head.queryStride, k: head.k, k_stride: head.keyStride, v: head.v,
            v_stride: head.valueStride, out: head.out, out_stride: head.outStride, rows: head.rows, width: head.width,
            value_width: head.valueWidth,
            scale: Float(head.scale), key_begin: head.keyBegin,
            begin: UnsafeRawPointer(head.begins)?.assumingMemoryBound(to: size_t.self),
            end: UnsafeRawPointer(head.ends).assumingMemoryBound(to: size_t.self), mask: head.mask, bias: head.bias,
            bias_stride: head.biasStride, cap: Float(head.softCap ?? 0), sink: head.sink,
            repeated: head.repeatedKeyCount)
        let count = k.pointer.pointee.attention_scratch_count_f32(head.width)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { scratch in
            k.pointer.pointee.attention_f32(&arguments, scratch.baseAddress)
        }
    }
    static func widen(
        _ k: KernelTable, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int
    ) {
        out.update(from: x, count: count)
    }
    static func take(_ k: KernelTable, _ x: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Float>, _ count: Int) {
        k.pointer.pointee.narrow_f64_f32(x, out, count)
    }
    static func narrow(_ k: KernelTable, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>, _ count: Int) {
        out.update(from: x, count: count)
    }
    static func roundToFloat32(_ k: KernelTable, _ x: UnsafeMutablePointer<Float>, _ count: Int) {}
}

extension Double: Scalar {
    static var precision: Precision { .float64 }
    static func double(_ value: Double) -> Double { value }
    static func panelWidth(_ k: KernelTable) -> Int { k.pointer.pointee.panel_width_f64 }
    static func packedCount(_ k: KernelTable, _ inputs: Int, _ outputs: Int) -> Int {
        k.pointer.pointee.packed_count_f64(inputs, outputs)
    }
    static func pack(
        _ k: KernelTable, _ w: UnsafePointer<Float>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Double>
    ) {
        k.pointer.pointee.pack_f64(
            w, strides.input, strides.output, inputs, outputs, panels.lowerBound, panels.upperBound, packed)
    }
    static func pack(
        _ k: KernelTable, _ w: UnsafePointer<Double>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Double>
    ) {
        k.pointer.pointee.pack_f64_from_f64(
            w, strides.input, strides.output, inputs, outputs, panels.lowerBound, panels.upperBound, packed)
    }
    static func pack(
        _ k: KernelTable, own: UnsafePointer<Double>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Double>
    ) {
        pack(k, own, strides, inputs, outputs, panels, packed)
    }
    static func product(
        _ k: KernelTable, _ a: UnsafePointer<Double>, _ packed: UnsafePointer<Double>,
        _ c: UnsafeMutablePointer<Double>,
        _ cStride: Int, _ rows: Int, _ inputs: Int, _ outputs: Int, _ panels: Range<Int>
    ) {
        k.pointer.pointee.product_f64(
            a, inputs, packed, c, cStride, rows, inputs, outputs, panels.lowerBound, panels.upperBound)
    }
    static func layerNorm(
        _ k: KernelTable, _ x: UnsafePointer<Double>, _ weight: UnsafePointer<Float>?, _ bias: UnsafePointer<Float>?,
        _ epsilon: Double, _ out: UnsafeMutablePointer<Double>, _ rows: Int, _ columns: Int
    ) {
        k.pointer.pointee.layer_norm_f64(x, weight, bias, epsilon, out, rows, columns)
    }
    static func rootMeanSquareNorm(
        _ k: KernelTable, _ x: UnsafePointer<Double>, _ weight: UnsafePointer<Float>?, _ epsilon: Double,
        _ out: UnsafeMutablePointer<Double>, _ rows: Int, _ columns: Int
    ) {
        k.pointer.pointee.rms_norm_f64(x, weight, epsilon, out, rows, columns)
    }
    static func scale(_ k: KernelTable, _ x: UnsafeMutablePointer<Double>, _ factor: Double, _ count: Int) {
        k.pointer.pointee.scale_f64(x, factor, count)
    }
    static func rotate(
        _ k: KernelTable, _ x: UnsafeMutablePointer<Double>, _ cosines: UnsafePointer<Double>,
        _ sines: UnsafePointer<Double>, _ pairs: Int, isInterleaved: Bool
    ) {
        k.pointer.pointee.rotate_f64(x, cosines, sines, pairs, isInterleaved ? 1 : 0)
    }
    static func add(
        _ k: KernelTable, _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Double>,
        _ count: Int
    ) {
        k.pointer.pointee.add_f64(a, b, out, count)
    }
    static func multiply(
        _ k: KernelTable, _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Double>,
        _ count: Int
    ) {
        k.pointer.pointee.multiply_f64(a, b, out, count)
    }
    static func addRow(
        _ k: KernelTable, _ x: UnsafeMutablePointer<Double>, _ bias: UnsafePointer<Float>, _ rows: Int, _ columns: Int
    ) {
        k.pointer.pointee.add_row_f64(x, bias, rows, columns)
    }
    static func softmax(
        _ k: KernelTable, _ x: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Double>, _ rows: Int, _ columns: Int
    ) {
        k.pointer.pointee.softmax_rows_f64(x, out, rows, columns)
    }
    static func sigmoid(
        _ k: KernelTable, _ x: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Double>, _ count: Int
    ) {
        k.pointer.pointee.sigmoid_f64(x, out, count)
    }
    static func clamp(
        _ k: KernelTable, _ x: UnsafeMutablePointer<Double>, _ low: Double, _ high: Double, _ count: Int
    ) {
        k.pointer.pointee.clamp_f64(x, low, high, count)
    }
    static func apply(_ k: KernelTable, _ function: Activation, _ x: UnsafeMutablePointer<Double>, _ count: Int) {
        let table = k.pointer.pointee
        switch function {
        case .geluErf: table.gelu_erf_f64(x, x, count)
        case .geluTanh: table.gelu_tanh_f64(x, x, count)
        case .quickGELU: table.gelu_quick_f64(x, x, count)
        case .relu: table.relu_f64(x, x, count)
        case .reluSquared:
            table.relu_f64(x, x, count)
            table.multiply_f64(x, x, x, count)
        case .silu: table.silu_f64(x, x, count)
        case .tanh: table.tanh_f64(x, x, count)
        }
    }
    static func attend(_ k: KernelTable, _ head: HeadRows<Double>) {
        var arguments = ck_attention_f64(
            q: head.q, q_stride: head.queryStride, k: head.k, k_stride: head.keyStride, v: head.v,
            v_stride: head.valueStride, out: head.out, out_stride: head.outStride, rows: head.rows, width: head.width,
            value_width: head.valueWidth,
            scale: head.scale, key_begin: head.keyBegin,
            begin: UnsafeRawPointer(head.begins)?.assumingMemoryBound(to: size_t.self),
            end: UnsafeRawPointer(head.ends).assumingMemoryBound(to: size_t.self), mask: head.mask, bias: head.bias,
            bias_stride: head.biasStride, cap: head.softCap ?? 0, sink: head.sink, repeated: head.repeatedKeyCount)
        let count = k.pointer.pointee.attention_scratch_count_f64(head.width)
        withUnsafeTemporaryAllocation(of: Double.self, capacity: count) { scratch in
            k.pointer.pointee.attention_f64(&arguments, scratch.baseAddress)
        }
    }
    static func widen(
        _ k: KernelTable, _ x: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Double>, _ count: Int
    ) {
        k.pointer.pointee.widen_f32_f64(x, out, count)
    }
    static func take(_ k: KernelTable, _ x: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Double>, _ count: Int) {
        out.update(from: x, count: count)
    }
    static func narrow(_ k: KernelTable, _ x: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Float>, _ count: Int) {
        k.pointer.pointee.narrow_f64_f32(x, out, count)
    }
    static func roundToFloat32(_ k: KernelTable, _ x: UnsafeMutablePointer<Double>, _ count: Int) {
        k.pointer.pointee.round_f64_to_f32_in_place(x, count)
    }
}
