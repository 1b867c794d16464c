// libFuzzer as a library: it comes with the compiler, and has no header.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// Fuzzes until a limit among the arguments is reached or `target` fails; it does not return where the process is to end.
///
/// - Parameter target: is called with every input; returns 0.
int LLVMFuzzerRunDriver(int *count, char ***arguments, int (*target)(const uint8_t *bytes, size_t count));
