// The part of Python's C API that is stable from 3.11 on, and what makes it safe to use from C++.
#pragma once

#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <new>
#include <string_view>
#include <utility>

#include "throwing.hpp"

namespace tally::python {

// Thrown where Python's error indicator is set.
struct Error {};

// Owns a reference.
class Object {
  public:
    explicit Object(PyObject* owned = nullptr) : object_(owned) {}
    Object(Object&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Object& operator=(Object&& other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    ~Object() { Py_XDECREF(object_); }

    PyObject* get() const { return object_; }
    PyObject* release() { return std::exchange(object_, nullptr); }

  private:
    PyObject* object_;
};

// Takes the new reference that a call returned.
inline Object checked(PyObject* owned) {
    if (owned == nullptr) throw Error();
    return Object(owned);
}

inline void check(int result) {
    if (result < 0) throw Error();
}

inline long long to_integer(PyObject* object) {
    const long long value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred()) throw Error();
    return value;
}

inline double to_float(PyObject* object) {
    const double value = PyFloat_AsDouble(object);
    if (value == -1 && PyErr_Occurred()) throw Error();
    return value;
}

inline std::string_view to_bytes(PyObject* object) {
    char* data = nullptr;
    Py_ssize_t size = 0;
    check(PyBytes_AsStringAndSize(object, &data, &size));
    return {data, static_cast<std::size_t>(size)};
}

// A text in UTF-8. Python could keep the UTF-8 in the text itself, which would then take more memory, and weigh more:
// see tally/engine/storing/capacity.py.
class Text {
  public:
    explicit Text(PyObject* text) : bytes_(checked(PyUnicode_AsUTF8String(text))), view_(to_bytes(bytes_.get())) {}
    operator std::string_view() const { return view_; }

  private:
    Object bytes_;
    std::string_view view_;
};

inline Object from_bytes(std::string_view bytes) {
    return checked(PyBytes_FromStringAndSize(bytes.data(), static_cast<Py_ssize_t>(bytes.size())));
}

inline Object to_text(std::string_view text) {
    return checked(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "strict"));
}

inline Object none() {
    Py_INCREF(Py_None);
    return Object(Py_None);
}

// Runs the body of a method, and turns exceptions into Python's.
template <typename Body>
PyObject* guard(Body body) noexcept {
    prepare_to_throw();
    try {
        return body().release();
    } catch (const Error&) {
        return nullptr;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

// Fails unless a method was given so many arguments.
inline void expect(Py_ssize_t given, Py_ssize_t expected) {
    if (given == expected) return;
    PyErr_Format(PyExc_TypeError, "%zd arguments are needed, not %zd", expected, given);
    throw Error();
}

// The body of an object of type `Value`, whose type was made from a PyType_Spec.
template <typename Value>
struct Holder {
    PyObject_HEAD Value value;
};

template <typename Value>
Value& value_of(PyObject* self) {
    return reinterpret_cast<Holder<Value>*>(self)->value;
}

template <typename Value>
void deallocate(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    value_of<Value>(self).~Value();
    reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

template <typename Value, typename... Arguments>
Object make(PyTypeObject* type, Arguments&&... arguments) {
    Object made = checked(reinterpret_cast<allocfunc>(PyType_GetSlot(type, Py_tp_alloc))(type, 0));
    new (&value_of<Value>(made.get())) Value(std::forward<Arguments>(arguments)...);
    return made;
}

inline PyMethodDef method(const char* name, PyObject* (*function)(PyObject*, PyObject* const*, Py_ssize_t)) {
    return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL, nullptr};
}

}  // namespace tally::python
