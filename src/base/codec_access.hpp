#pragma once

/// How the codec (base/codec.hpp) sees a class's private members: see there.

#include <type_traits>

namespace hearth::codec {

struct access {
    template <class T>
    static auto fields(T& v) -> decltype(std::remove_const_t<T>::fields(v)) {
        return std::remove_const_t<T>::fields(v);
    }
};

}  // namespace hearth::codec
