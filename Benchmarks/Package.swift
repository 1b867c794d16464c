// swift-tools-version: 6.2
// The drivers that the benchmarks time beside peers in Python. A package of its own, so that nobody who uses Assay
// builds them.

import PackageDescription

let package = Package(
    name: "assay-benchmarks",
    dependencies: [.package(name: "assay", path: "..")],
    targets: [
        .executableTarget(
            name: "zplanes-codec",
            dependencies: [
                .product(name: "AssayFormats", package: "assay"), .product(name: "AssayTensors", package: "assay"),
                .product(name: "AssayCheckpoints", package: "assay"),
            ],
            path: "zplanes/codec"),
        .executableTarget(
            name: "format-reader",
            dependencies: [
                .product(name: "AssayFormats", package: "assay"), .product(name: "AssayTensors", package: "assay"),
                .product(name: "AssayCheckpoints", package: "assay"),
            ],
            path: "formats/reader"),
    ]
)
