// The core as a Python module: `tally.native._core`, see _core.pyi.
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

namespace {

// A hash of the sources, by which the build recognizes a core that is not current.
constexpr const char* SOURCES = TALLY_SOURCES;
// Counts changes of what Python code calls here; see tally/native/__init__.py.
constexpr int INTERFACE = 1;

int add_constants(PyObject* module) {
    if (PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) return -1;
    return PyModule_AddStringConstant(module, "SOURCES", SOURCES);
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(add_constants)},
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "The native core.", 0, nullptr, slots, nullptr, nullptr, nullptr,
};

}  // namespace

PyMODINIT_FUNC PyInit__core() {
    return PyModuleDef_Init(&definition);
}
