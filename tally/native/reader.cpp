// The type `Reader` of the Python module: the datagrams of one read, as a sequence of bytes.
#include "objects.hpp"
#include "receiver.hpp"

namespace tally {
namespace {

using namespace python;

PyObject* new_reader(PyTypeObject* type, PyObject*, PyObject*) {
    return guard([&] { return make<Reader>(type); });
}

// read(descriptor, most, is_timed) -> the number of datagrams
PyObject* read(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    return guard([&] {
        expect(count, 3);
        Reader& reader = value_of<Reader>(self);
        const int error = reader.read(static_cast<int>(to_integer(arguments[0])),
                                      static_cast<std::size_t>(to_integer(arguments[1])), arguments[2] == Py_True);
        if (error != 0) {
            errno = error;
            PyErr_SetFromErrno(PyExc_OSError);
            throw Error();
        }
        return checked(PyLong_FromSize_t(reader.size()));
    });
}

// timed() -> [(datagram, unix seconds or None), ...]
PyObject* timed(PyObject* self, PyObject* const*, Py_ssize_t) {
    return guard([&] {
        const Reader& reader = value_of<Reader>(self);
        Object list = checked(PyList_New(0));
        for (std::size_t at = 0; at < reader.size(); ++at) {
            const std::int64_t time = reader.time(at);
            const double seconds = static_cast<double>(time / 1'000'000) + static_cast<double>(time % 1'000'000) / 1e6;
            const Object received = time < 0 ? none() : checked(PyFloat_FromDouble(seconds));
            const Object datagram = from_bytes(reader[at]);
            const Object item = checked(PyTuple_Pack(2, datagram.get(), received.get()));
            check(PyList_Append(list.get(), item.get()));
        }
        return list;
    });
}

Py_ssize_t length(PyObject* self) {
    return static_cast<Py_ssize_t>(value_of<Reader>(self).size());
}

PyObject* item(PyObject* self, Py_ssize_t number) {
    return guard([&] {
        if (number < 0 || number >= length(self)) {
            PyErr_SetString(PyExc_IndexError, "there is no such datagram");
            throw Error();
        }
        return from_bytes(value_of<Reader>(self)[static_cast<std::size_t>(number)]);
    });
}

PyMethodDef reader_methods[] = {method("read", read), method("timed", timed), {}};

PyType_Slot reader_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(new_reader)},
    {Py_tp_dealloc, reinterpret_cast<void*>(deallocate<Reader>)},
    {Py_tp_methods, reader_methods},
    {Py_sq_length, reinterpret_cast<void*>(length)},
    {Py_sq_item, reinterpret_cast<void*>(item)},
    {0, nullptr},
};

}  // namespace

PyType_Spec reader_spec = {"tally.native._core.Reader", sizeof(Holder<Reader>), 0, Py_TPFLAGS_DEFAULT, reader_slots};

}  // namespace tally
