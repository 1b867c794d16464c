// swift-tools-version: 6.2
// The fuzzer of every reader and parser. A package of its own, as it links with nothing but libFuzzer: `scripts/fuzz`
// builds and runs it.

import PackageDescription

/// Floors whose insides are called too, so that a checksum around them stops no fuzzer.
let floors = [
    "AssayTensors", "AssayCheckpoints", "AssayFormats", "AssayModels", "AssayConversion", "AssayVerification",
]

let package = Package(
    name: "assay-fuzz",
    dependencies: [.package(name: "assay", path: "..")],
    targets: [
        .target(name: "CLibFuzzer", path: "CLibFuzzer"),
        .executableTarget(
            name: "assay-fuzz",
            dependencies: ["CLibFuzzer"] + floors.map { .product(name: $0, package: "assay") },
            path: "Fuzzer",
            // The linker of the system stumbles over its own report of a symbol.
            linkerSettings: [.unsafeFlags(["-use-ld=lld"])]),
    ]
)
