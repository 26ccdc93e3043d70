// Calls any operator that libtorch knows, by name, with arguments by name: what the generated C functions of torch-sys
// cannot. The schema that libtorch itself keeps says what an argument is and what it defaults to.
// Knows values and operators, nothing of graphs. Its other side is dispatch.rs.

#include <ATen/ScalarOps.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

extern "C" {

// As `Raw` in dispatch.rs. `items` is borrowed on the way in; on the way out it and what it points to is the caller's.
struct hw1_value {
    int32_t kind;
    int32_t index;  // of a device
    int64_t whole;
    double real;
    const void* items;
    size_t count;
};

struct hw1_argument {
    const char* name;
    hw1_value value;
};
}

namespace {

enum Kind : int32_t { NONE, TENSOR, TENSORS, INT, INTS, FLOAT, FLOATS, BOOL, BOOLS, TEXT, DEVICE };

char* copied(const std::string& text) {
    char* copy = static_cast<char*>(std::malloc(text.size() + 1));
    if (copy != nullptr) std::memcpy(copy, text.c_str(), text.size() + 1);
    return copy;
}

// What `work` throws, as text; null where it throws nothing.
template <class Work>
char* caught(Work work) {
    try {
        work();
        return nullptr;
    } catch (const c10::Error& error) {
        return copied(error.what_without_backtrace());
    } catch (const std::exception& error) {
        return copied(error.what());
    } catch (...) {
        return copied("libtorch threw something that is no exception");
    }
}

template <class Item>
c10::List<Item> list_of(const hw1_value& value) {
    c10::List<Item> list;
    const auto* items = static_cast<const Item*>(value.items);
    for (size_t at = 0; at < value.count; ++at) list.push_back(items[at]);
    return list;
}

// What an argument's type is where it is given.
c10::TypePtr plain(const c10::TypePtr& type) {
    const auto optional = type->cast<c10::OptionalType>();
    return optional ? optional->getElementType() : type;
}

c10::IValue of_tensors(const hw1_value& value, const c10::TypePtr& type) {
    const auto* items = static_cast<const at::Tensor* const*>(value.items);
    const auto list = type->cast<c10::ListType>();
    if (list && list->getElementType()->kind() == c10::TypeKind::OptionalType) {
        c10::List<std::optional<at::Tensor>> tensors;
        for (size_t at = 0; at < value.count; ++at) {
            tensors.push_back(items[at] == nullptr ? std::nullopt : std::optional<at::Tensor>(*items[at]));
        }
        return tensors;
    }
    c10::List<at::Tensor> tensors;
    for (size_t at = 0; at < value.count; ++at) {
        TORCH_CHECK(items[at] != nullptr, "a list of tensors has none at place ", at);
        tensors.push_back(*items[at]);
    }
    return tensors;
}

bool wants_floats(const c10::TypePtr& type) {
    const auto list = type->cast<c10::ListType>();
    return list && list->getElementType()->kind() == c10::TypeKind::FloatType;
}

// A number where a tensor is declared, as Python gives one: it decides no kind.
c10::IValue wrapped(const at::Scalar& number) {
    at::Tensor tensor = at::scalar_to_tensor(number);
    tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
    return tensor;
}

c10::IValue of(const hw1_value& value, const c10::TypePtr& declared) {
    const auto type = plain(declared);
    if (type->kind() == c10::TypeKind::TensorType) {
        if (value.kind == INT) return wrapped(value.whole);
        if (value.kind == FLOAT) return wrapped(value.real);
        if (value.kind == BOOL) return wrapped(value.whole != 0);
    }
    switch (value.kind) {
        case NONE: return c10::IValue();
        case TENSOR: return *static_cast<const at::Tensor*>(value.items);
        case TENSORS: return of_tensors(value, type);
        case INT:
            if (type->kind() == c10::TypeKind::FloatType) return static_cast<double>(value.whole);
            if (type->kind() == c10::TypeKind::BoolType) return value.whole != 0;
            return value.whole;
        case INTS: {
            if (!wants_floats(type)) return list_of<int64_t>(value);
            c10::List<double> list;
            const auto* items = static_cast<const int64_t*>(value.items);
            for (size_t at = 0; at < value.count; ++at) list.push_back(static_cast<double>(items[at]));
            return list;
        }
        case FLOAT: return value.real;
        case FLOATS: return list_of<double>(value);
        case BOOL: return value.whole != 0;
        case BOOLS: {
            c10::List<bool> list;
            const auto* items = static_cast<const uint8_t*>(value.items);
            for (size_t at = 0; at < value.count; ++at) list.push_back(items[at] != 0);
            return list;
        }
        case TEXT: return std::string(static_cast<const char*>(value.items), value.count);
        case DEVICE:
            return c10::Device(
                static_cast<c10::DeviceType>(value.whole), static_cast<c10::DeviceIndex>(value.index));
        default: TORCH_CHECK(false, "a value of an unknown kind, ", value.kind);
    }
}

hw1_value back(const c10::IValue& value) {
    hw1_value raw{NONE, 0, 0, 0.0, nullptr, 0};
    if (value.isNone()) return raw;
    if (value.isTensor()) {
        // An optional output that is not there.
        if (!value.toTensor().defined()) return raw;
        raw.kind = TENSOR;
        raw.items = new at::Tensor(value.toTensor());
    } else if (value.isTensorList()) {
        const auto list = value.toTensorVector();
        raw.kind = TENSORS;
        raw.count = list.size();
        auto** items = static_cast<at::Tensor**>(std::malloc(sizeof(at::Tensor*) * (list.size() + 1)));
        TORCH_CHECK(items != nullptr, "out of memory");
        for (size_t at = 0; at < list.size(); ++at) items[at] = new at::Tensor(list[at]);
        raw.items = items;
    } else if (value.isBool()) {
        raw.kind = BOOL;
        raw.whole = value.toBool();
    } else if (value.isInt() || value.isSymInt()) {
        raw.kind = INT;
        raw.whole = value.isInt() ? value.toInt() : value.toSymInt().guard_int(__FILE__, __LINE__);
    } else if (value.isDouble()) {
        raw.kind = FLOAT;
        raw.real = value.toDouble();
    } else {
        TORCH_CHECK(false, "a result of type ", value.tagKind());
    }
    return raw;
}

}  // namespace

extern "C" {

void hw1_free(void* memory) { std::free(memory); }

// A handle to an operator, which stays for ever; null where libtorch has none of that name.
const void* hw1_operator(const char* name, const char* overload) {
    const void* found = nullptr;
    char* error = caught([&] {
        const auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
        if (handle.has_value()) found = new c10::OperatorHandle(*handle);
    });
    hw1_free(error);
    return found;
}

// How it is declared; to be freed.
char* hw1_schema(const void* handle) {
    char* text = nullptr;
    char* error = caught([&] {
        text = copied(c10::toString(static_cast<const c10::OperatorHandle*>(handle)->schema()));
    });
    hw1_free(error);
    return text;
}

// Whether it draws random numbers.
bool hw1_is_random(const void* handle) {
    bool is_random = false;
    char* error = caught([&] {
        is_random = static_cast<const c10::OperatorHandle*>(handle)->hasTag(at::Tag::nondeterministic_seeded);
    });
    hw1_free(error);
    return is_random;
}

// Calls it. Up to `most` results are written to `results`, whose number is then in `found`. Returns what went wrong, to be
// freed, or null.
char* hw1_call(
    const void* handle,
    const hw1_argument* arguments,
    size_t count,
    hw1_value* results,
    size_t most,
    size_t* found) {
    *found = 0;
    return caught([&] {
        const auto& op = *static_cast<const c10::OperatorHandle*>(handle);
        torch::jit::Stack stack;
        size_t used = 0;
        for (const auto& argument : op.schema().arguments()) {
            const hw1_argument* given = nullptr;
            for (size_t at = 0; at < count; ++at) {
                if (argument.name() == arguments[at].name) given = &arguments[at];
            }
            if (given != nullptr) {
                stack.push_back(of(given->value, argument.real_type()));
                ++used;
            } else {
                const auto& value = argument.default_value();
                TORCH_CHECK(value.has_value(), "argument '", argument.name(), "' is missing");
                stack.push_back(*value);
            }
        }
        TORCH_CHECK(used == count, "an argument that ", c10::toString(op.schema()), " does not have");
        op.callBoxed(stack);
        TORCH_CHECK(stack.size() <= most, stack.size(), " results, of which ", most, " fit");
        for (const auto& value : stack) results[(*found)++] = back(value);
    });
}
}
