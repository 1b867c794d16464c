// swift-tools-version: 6.2
// Assay moves model checkpoints between formats and precisions, and proves that what arrives still
// computes the same thing. The floors below are listed from the ground up; dependencies point down only.

import PackageDescription

let swift: [SwiftSetting] = [.treatAllWarnings(as: .error)]
let c: [CSetting] = [.treatAllWarnings(as: .error)]

/// One floor of the house: a library target `Assay<name>` in `Sources/<name>`.
func floor(_ name: String, over dependencies: [Target.Dependency]) -> Target {
    .target(name: "Assay\(name)", dependencies: dependencies, path: "Sources/\(name)", swiftSettings: swift)
}

/// The tests of one floor, in `Tests/<name>Tests`.
func tests(of name: String, over dependencies: [Target.Dependency] = []) -> Target {
    .testTarget(
        name: "Assay\(name)Tests",
        dependencies: [.target(name: "Assay\(name)"), "AssayTestSupport"] + dependencies,
        path: "Tests/\(name)Tests",
        swiftSettings: swift)
}

let system: Target.Dependency = .product(name: "SystemPackage", package: "swift-system")

let package = Package(
    name: "assay",
    products: [
        .executable(name: "assay", targets: ["assay"]),
        .library(name: "AssayTensors", targets: ["AssayTensors"]),
        .library(name: "AssayCheckpoints", targets: ["AssayCheckpoints"]),
        .library(name: "AssayFormats", targets: ["AssayFormats"]),
        .library(name: "AssayModels", targets: ["AssayModels"]),
        .library(name: "AssayConversion", targets: ["AssayConversion"]),
        .library(name: "AssayVerification", targets: ["AssayVerification"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        // C: our inner loops, and the system libraries, linked as archives.
        .target(name: "AssayCKernels", path: "Sources/CKernels", cSettings: c),
        .target(
            name: "AssayCHDF5", path: "Sources/CHDF5", cSettings: c,
            linkerSettings: [
                .linkedLibrary(":libhdf5_serial.a"), .linkedLibrary(":libcrypto.a"), .linkedLibrary(":libsz.a"),
                .linkedLibrary(":libaec.a"), .linkedLibrary(":libz.a"), .linkedLibrary("m"), .linkedLibrary("dl"),
            ]),
        .target(
            name: "AssayCZstd", path: "Sources/CZstd", cSettings: c,
            linkerSettings: [.linkedLibrary(":libzstd.a"), .linkedLibrary(":libxxhash.a")]),
        // Its zlib is linked with CHDF5: named here too, it would come before libhdf5, which needs it behind.
        .target(
            name: "AssayCDeflate", path: "Sources/CDeflate", cSettings: c,
            linkerSettings: [.linkedLibrary(":libdeflate.a")]),
        .target(
            name: "AssayCDigest", path: "Sources/CDigest", cSettings: c,
            linkerSettings: [.linkedLibrary(":libcrypto.a"), .linkedLibrary(":libxxhash.a")]),

        .target(name: "AssayCSystem", path: "Sources/CSystem", cSettings: c),

        // The floors.
        floor("Tensors", over: ["AssayCKernels", "AssayCSystem", system]),
        floor("Checkpoints", over: ["AssayTensors", "AssayCDigest", "AssayCSystem", system]),
        floor("Formats", over: ["AssayCheckpoints", "AssayCHDF5", "AssayCZstd", "AssayCDeflate"]),
        floor("Packings", over: ["AssayCheckpoints"]),
        floor("Models", over: ["AssayPackings"]),
        floor("Quantization", over: ["AssayModels"]),
        floor("Conversion", over: ["AssayFormats", "AssayQuantization"]),
        floor("Comparison", over: ["AssayModels"]),
        floor("Verification", over: ["AssayConversion", "AssayComparison"]),
        floor("Reporting", over: ["AssayVerification", "AssayCSystem"]),
        .executableTarget(
            name: "assay",
            dependencies: ["AssayReporting", .product(name: "ArgumentParser", package: "swift-argument-parser")],
            path: "Sources/assay", swiftSettings: swift),

        // Tests.
        .target(
            name: "AssayTestSupport", dependencies: ["AssayFormats"], path: "Tests/TestSupport",
            swiftSettings: swift),
        .testTarget(
            name: "AssayCKernelsTests", dependencies: ["AssayCKernels"], path: "Tests/CKernelsTests",
            swiftSettings: swift),
        tests(of: "Tensors"),
        tests(of: "Checkpoints"),
        tests(of: "Formats"),
        tests(of: "Packings"),
        tests(of: "Models"),
        tests(of: "Quantization"),
        tests(of: "Conversion"),
        tests(of: "Verification"),
        tests(of: "Comparison", over: ["AssayQuantization"]),
        tests(of: "Reporting"),
        .testTarget(
            name: "EndToEndTests", dependencies: ["assay", "AssayTestSupport"], path: "Tests/EndToEndTests",
            swiftSettings: swift),
    ],
    cLanguageStandard: .c17
)
