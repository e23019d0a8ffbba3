list(APPEND HEARTH_GUEST_SOURCES
    abi/errno_names.cpp
    kernel/identity.cpp
    kernel/kernel.cpp
    kernel/services.cpp
    kernel/signal_frame.cpp
    kernel/signals.cpp
    kernel/task.cpp
    kernel/tracer.cpp
    sys/exchange.cpp
    sys/futex.cpp
    sys/process.cpp
    sys/random.cpp
    sys/signal.cpp
    sys/since.cpp
    sys/system.cpp
    sys/table.cpp
    sys/time.cpp)
