hearth_test(guest_mm
    SOURCES mm_fork_test.cpp mm_frames_test.cpp mm_mapping_test.cpp mm_fault_test.cpp mm_access_test.cpp mm_file_test.cpp mm_model_test.cpp
    LABELS unit)
hearth_test(guest_exec SOURCES exec_test.cpp stack_image_test.cpp vdso_test.cpp LABELS unit)
hearth_test(guest_mm_kvm SOURCES mm_kvm_test.cpp vdso_kvm_test.cpp LABELS kvm)
# System calls need the kernel to make them with.
if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/kernel_world.hpp)
    hearth_test(guest_mm_calls SOURCES mm_calls_test.cpp LABELS unit)
endif()
