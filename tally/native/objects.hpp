// What the Python module consists of, beside the type `Rollup`.
#pragma once

#include "python.hpp"
#include "sketch.hpp"

namespace tally {

extern PyType_Spec reader_spec;
extern PyMethodDef sketch_functions[];

// Returns the sketch in a text; ValueError if it is not valid.
Sketch to_sketch(PyObject* text);

}  // namespace tally
