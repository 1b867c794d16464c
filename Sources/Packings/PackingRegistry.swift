/// The packings, in the order in which they look at a checkpoint. One line an entry.
public enum PackingRegistry {
    public static let all: [any Packing.Type] = [
        CompressedTensors.self
    ]
}
