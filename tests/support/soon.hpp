#pragma once

#include <chrono>
#include <thread>

namespace hearth::test {

/// Whether it comes to that, however slow the machine.
template <class Condition>
bool soon(Condition c) {
    for (int i = 0; i < 60'000 && !c(); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return c();
}

}  // namespace hearth::test
