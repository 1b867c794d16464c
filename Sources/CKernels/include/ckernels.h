// The inner loops of Assay, in C, each compiled once for every dispatch level.
#pragma once
#include "ck_difference.h"
#include "ck_chunks.h"
#include "ck_level.h"
#include "ck_math.h"
#include "ck_quantize.h"
#include "ck_planes.h"
