// The core as a Python module: `tally.native._core`, see _core.pyi.
#include <map>
#include <vector>

#include "objects.hpp"
#include "receiver.hpp"
#include "rollup.hpp"

namespace tally {
namespace {

using namespace python;

// A hash of the sources, by which the build recognizes a core that is not current.
constexpr const char* SOURCES = TALLY_SOURCES;
// Counts changes of what Python code calls here; see tally/native/__init__.py.
constexpr int INTERFACE = 6;

// The lines that were rejected since Python asked last: how many for each reason, and the first of them.
struct Rejected {
    std::int64_t count;
    std::string example;
};

// By the number of the reason, from 0.
using Rejections = std::map<long long, Rejected>;

struct Collected {
    Rollup rollup;
    Rejections rejections;
};

Collected& collected(PyObject* self) {
    return value_of<Collected>(self);
}

PyObject* new_rollup(PyTypeObject* type, PyObject* arguments, PyObject*) {
    return guard([&] {
        long long resolution = 1, max_future_s = 0;
        int is_compensated = 0, is_sketched = 0;
        if (!PyArg_ParseTuple(arguments, "LLpp", &resolution, &max_future_s, &is_compensated, &is_sketched))
            throw Error();
        // Python's hash of a text is different in each process.
        const Object text = checked(PyUnicode_FromString("tally"));
        const auto seed = static_cast<std::uint64_t>(PyObject_Hash(text.get()));
        const Rollup::Options options{resolution, max_future_s, seed, is_compensated != 0, is_sketched != 0};
        return make<Collected>(type, Collected{Rollup(options), {}});
    });
}

// What a call of `add` needs for each line.
struct Adding {
    Collected& into;
    std::int64_t now;
    PyObject* second;
    PyObject* python;

    void reject(std::string_view line, long long reason) {
        const auto [found, is_first] = into.rejections.try_emplace(reason, Rejected{0, {}});
        if (is_first) found->second.example.assign(line);
        ++found->second.count;
    }

    // Calls a method in Python. If that returns the number of a reason, the line is rejected, and there is no result.
    template <typename... Arguments>
    Object ask(std::string_view line, const char* method, const Arguments&... arguments) {
        const Object name = checked(PyUnicode_InternFromString(method));
        Object found = checked(PyObject_CallMethodObjArgs(python, name.get(), arguments.get()..., second, nullptr));
        if (!PyLong_Check(found.get())) return found;
        reject(line, to_integer(found.get()));
        return none();
    }

    // Lets Python add a line. It returns the name as stored, or None if no spelling of it is to be remembered.
    void add_unsure(std::string_view line, std::string_view spelling) {
        const std::string kept(spelling);
        const Object name = ask(line, "add_unsure", from_bytes(line));
        if (name.get() != Py_None && !kept.empty()) into.rollup.add_spelling(kept, Text(name.get()));
    }

    void add_gauge(std::string_view line) {
        const Asked& asked = into.rollup.asked();
        const Object value = checked(PyFloat_FromDouble(asked.value)), is_change(PyBool_FromLong(asked.is_change));
        const Object found = ask(line, "change_gauge", to_text(asked.name), value, is_change);
        if (found.get() != Py_None) into.rollup.add_gauge(to_float(found.get()));
    }

    void add_line(std::string_view line) {
        const Fate fate = into.rollup.add(line, now);
        switch (fate.kind) {
            case Fate::ADDED:
                return;
            case Fate::REJECTED:
                return reject(line, static_cast<int>(fate.reason));
            case Fate::UNSURE:
                return add_unsure(line, fate.spelling);
            case Fate::GAUGE:
                return add_gauge(line);
            case Fate::SET:
                const Asked& asked = into.rollup.asked();
                ask(line, "add_member", to_text(asked.name), to_text(asked.member));
        }
    }

    void add(std::string_view datagram) {
        while (!datagram.empty()) {
            const std::size_t end = datagram.find('\n');
            const std::string_view line = bare(datagram.substr(0, end));
            datagram.remove_prefix(end == datagram.npos ? datagram.size() : end + 1);
            if (!line.empty()) add_line(line);
        }
    }
};

bool is_reader(PyObject* object) {
    return PyType_GetSlot(Py_TYPE(object), Py_tp_dealloc) == reinterpret_cast<void*>(deallocate<Reader>);
}

// add(datagrams, now, fold_values, python)
PyObject* add(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 4);
        Adding adding{collected(self), to_integer(arguments[1]), arguments[1], arguments[3]};
        adding.into.rollup.open(adding.now, to_integer(arguments[2]));
        if (is_reader(arguments[0])) {
            const Reader& reader = value_of<Reader>(arguments[0]);
            for (std::size_t at = 0; at < reader.size(); ++at) adding.add(reader[at]);
            return none();
        }
        const Py_ssize_t most = PyList_Size(arguments[0]);
        check(most < 0 ? -1 : 0);
        for (Py_ssize_t at = 0; at < most; ++at) {
            PyObject* item = PyList_GetItem(arguments[0], at);
            if (item == nullptr) throw Error();
            Py_INCREF(item);
            const Object datagram(item);
            adding.add(to_bytes(item));
        }
        return none();
    });
}

// rejections() -> [(reason, count, first line), ...], which are forgotten then
PyObject* rejections(PyObject* self, PyObject* const*, Py_ssize_t) {
    return guard([&] {
        Rejections& found = collected(self).rejections;
        Object list = checked(PyList_New(0));
        for (const auto& [reason, rejected] : found) {
            const auto& [number, line] = rejected;
            const auto size = static_cast<Py_ssize_t>(line.size());
            const Object item = checked(Py_BuildValue("(LLy#)", reason, number, line.data(), size));
            check(PyList_Append(list.get(), item.get()));
        }
        found.clear();
        return list;
    });
}

// add_sample(name, value, timestamp, weight) -> bool
PyObject* add_sample(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 4);
        const bool is_added = collected(self).rollup.add_sample(Text(arguments[0]), to_float(arguments[1]),
                                                                to_integer(arguments[2]), to_integer(arguments[3]));
        return checked(PyBool_FromLong(is_added));
    });
}

// has_cell(bucket, name) -> bool
PyObject* has_cell(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 2);
        return checked(PyBool_FromLong(collected(self).rollup.has(to_integer(arguments[0]), Text(arguments[1]))));
    });
}

// A count is an integer wherever it is whole.
Object to_tuple(const Cell& cell, const Sketch& sketch) {
    const auto whole = static_cast<std::int64_t>(cell.count < 1e18 ? cell.count : 0);
    const Object count =
        checked(static_cast<double>(whole) == cell.count ? PyLong_FromLongLong(whole) : PyFloat_FromDouble(cell.count));
    const Object text = sketch.empty() ? none() : to_text(dump(sketch));
    return checked(Py_BuildValue("(OdddO)", count.get(), cell.sum, cell.low, cell.high, text.get()));
}

// cell(bucket, name) -> (count, sum, min, max, sketch) | None, without the values of the open bucket
PyObject* cell(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 2);
        const Stored* found = collected(self).rollup.find(to_integer(arguments[0]), Text(arguments[1]));
        return found == nullptr ? none() : to_tuple(found->cell, found->sketch);
    });
}

// set_cell(bucket, name, cell, weight)
PyObject* set_cell(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 4);
        Cell cell;
        PyObject* bins = nullptr;
        if (!PyArg_ParseTuple(arguments[2], "ddddO", &cell.count, &cell.sum, &cell.low, &cell.high, &bins))
            throw Error();
        Sketch sketch = bins == Py_None ? Sketch() : to_sketch(bins);
        Rollup& rollup = collected(self).rollup;
        rollup.set(to_integer(arguments[0]), Text(arguments[1]), cell, std::move(sketch), to_integer(arguments[3]));
        return none();
    });
}

// add_bins(gained)
PyObject* add_bins(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 1);
        collected(self).rollup.add_bins(to_integer(arguments[0]));
        return none();
    });
}

PyObject* fold(PyObject* self, PyObject* const*, Py_ssize_t) {
    return guard([&] {
        collected(self).rollup.fold();
        return none();
    });
}

// The names of series as Python's texts, each made when it is needed first.
struct Names {
    const Rollup& rollup;
    std::vector<Object> texts;

    PyObject* operator[](std::uint32_t series) {
        if (texts[series].get() == nullptr) {
            texts[series] = to_text(rollup.name(series));
        }
        return texts[series].get();
    }
};

Object new_row(PyObject* cells, std::int64_t bucket) {
    const Object key = checked(PyLong_FromLongLong(bucket));
    PyObject* found = PyDict_GetItemWithError(cells, key.get());
    if (found != nullptr) {
        Py_INCREF(found);
        return Object(found);
    }
    if (PyErr_Occurred()) throw Error();
    Object row = checked(PyDict_New());
    check(PyDict_SetItem(cells, key.get(), row.get()));
    return row;
}

// take() -> {bucket: {name: (count, sum, min, max, sketch)}}, and removes all cells
PyObject* take(PyObject* self, PyObject* const*, Py_ssize_t) {
    return guard([&] {
        Rollup& rollup = collected(self).rollup;
        rollup.fold();
        Object cells = checked(PyDict_New());
        Names names{rollup, {}};
        names.texts.resize(rollup.series_count());
        Object row;
        std::int64_t bucket = -1;
        for (const Stored& stored : rollup.cells()) {
            if (row.get() == nullptr || stored.bucket != bucket) row = new_row(cells.get(), bucket = stored.bucket);
            check(PyDict_SetItem(row.get(), names[stored.series], to_tuple(stored.cell, stored.sketch).get()));
        }
        rollup.clear();
        return cells;
    });
}

template <std::int64_t Rollup::* Member>
PyObject* get(PyObject* self, void*) {
    return PyLong_FromLongLong(collected(self).rollup.*Member);
}

template <std::int64_t Rollup::* Member>
int set(PyObject* self, PyObject* value, void*) {
    const long long number = value == nullptr ? 0 : PyLong_AsLongLong(value);
    if (number == -1 && PyErr_Occurred()) return -1;
    collected(self).rollup.*Member = number;
    return 0;
}

PyObject* get_accepted(PyObject* self, void*) {
    return PyLong_FromLongLong(collected(self).rollup.accepted());
}

PyMethodDef rollup_methods[] = {
    method("add", add),
    method("rejections", rejections),
    method("add_sample", add_sample),
    method("has_cell", has_cell),
    method("cell", cell),
    method("set_cell", set_cell),
    method("add_bins", add_bins),
    method("fold", fold),
    method("take", take),
    {},
};

PyGetSetDef rollup_members[] = {
    {"size", get<&Rollup::size>, set<&Rollup::size>, nullptr, nullptr},
    {"counted", get<&Rollup::counted>, set<&Rollup::counted>, nullptr, nullptr},
    {"free", get<&Rollup::free>, set<&Rollup::free>, nullptr, nullptr},
    {"most", get<&Rollup::most>, set<&Rollup::most>, nullptr, nullptr},
    {"accepted", get_accepted, nullptr, nullptr, nullptr},
    {},
};

PyType_Slot rollup_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_rollup)},
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate<Collected>)},
    {Py_tp_methods, rollup_methods},
    {Py_tp_getset, rollup_members},
    {0, nullptr},
};

PyType_Spec rollup_spec = {"tally.native._core.Rollup", sizeof(Holder<Collected>), 0, Py_TPFLAGS_DEFAULT, rollup_slots};

int fill_module(PyObject* module) {
    if (PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) return -1;
    if (PyModule_AddStringConstant(module, "SOURCES", SOURCES) < 0) return -1;
    for (auto [name, spec] : {std::pair{"Rollup", &rollup_spec}, std::pair{"Reader", &reader_spec}}) {
        const Object type(PyType_FromSpec(spec));
        if (type.get() == nullptr || PyModule_AddObjectRef(module, name, type.get()) < 0) return -1;
    }
    return 0;
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(fill_module)},
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_core", "The native core.", 0, sketch_functions, slots, nullptr, nullptr, nullptr,
};

}  // namespace
}  // namespace tally

PyMODINIT_FUNC PyInit__core() {
    return PyModuleDef_Init(&tally::definition);
}
