// The functions of the Python module that take the texts of sketches.
#include "objects.hpp"

namespace tally {

using namespace python;

namespace {

[[noreturn]] void fail(PyObject* text) {
    PyErr_Format(PyExc_ValueError, "sketch %R is not valid", text);
    throw Error();
}

}  // namespace

Sketch to_sketch(PyObject* object) {
    Sketch sketch;
    if (!load(Text(object), sketch)) fail(object);
    return sketch;
}

namespace {

// merge_bins([text, ...]) -> text
PyObject* merge_bins(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 1);
        Merger merger;
        const Py_ssize_t most = PyList_Size(arguments[0]);
        check(most < 0 ? -1 : 0);
        for (Py_ssize_t at = 0; at < most; ++at) {
            PyObject* item = PyList_GetItem(arguments[0], at);
            if (!merger.add(Text(item))) fail(item);
        }
        return to_text(dump(merger.sketch()));
    });
}

// coarsen_bins(text, levels) -> text
PyObject* coarsen_bins(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 2);
        return to_text(dump(coarsen(to_sketch(arguments[0]), static_cast<int>(to_integer(arguments[1])))));
    });
}

}  // namespace

PyMethodDef sketch_functions[] = {method("merge_bins", merge_bins), method("coarsen_bins", coarsen_bins), {}};

}  // namespace tally
