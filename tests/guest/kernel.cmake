hearth_test(guest_kernel
    SOURCES kernel_table_test.cpp kernel_state_test.cpp kernel_signal_test.cpp kernel_wait_test.cpp
        kernel_exchange_test.cpp kernel_calls_test.cpp kernel_tracer_test.cpp kernel_fuzz_test.cpp
    LABELS unit)
