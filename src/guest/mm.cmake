list(APPEND HEARTH_GUEST_SOURCES
    exec/load_program.cpp
    exec/program_plan.cpp
    exec/stack_image.cpp
    exec/vdso_image.cpp
    exec/vvar_clock.cpp
    mm/access.cpp
    mm/address_space.cpp
    mm/advise.cpp
    mm/file_backing.cpp
    mm/fork.cpp
    mm/frame_allocator.cpp
    mm/memory_use.cpp
    mm/page_tables.cpp
    mm/supply.cpp
    mm/vma.cpp
    mm/window_copy.cpp
    sys/mman.cpp)

# The vDSO is guest code: its own flags, nothing of ours or of a user's (no sanitizer, no coverage).
set(HEARTH_VDSO ${CMAKE_CURRENT_BINARY_DIR}/linux-vdso.so.1)
set(HEARTH_VDSO_SOURCE ${CMAKE_CURRENT_SOURCE_DIR}/exec/vdso)
add_custom_command(
    OUTPUT ${HEARTH_VDSO}
    COMMAND ${CMAKE_C_COMPILER} -std=gnu11 -O2 -g0 -fPIC -ffreestanding -fno-builtin -mno-sse -fno-stack-protector
            -fcf-protection=none -fasynchronous-unwind-tables -Wall -Wextra -nostdlib -shared
            -Wl,-soname=linux-vdso.so.1 -Wl,--hash-style=both -Wl,--build-id=sha1 -Wl,-Bsymbolic
            -Wl,--no-undefined -Wl,--eh-frame-hdr -Wl,-z,noexecstack -Wl,-z,max-page-size=4096
            -Wl,-T,${HEARTH_VDSO_SOURCE}/vdso.lds -o ${HEARTH_VDSO} ${HEARTH_VDSO_SOURCE}/vdso.c
    DEPENDS ${HEARTH_VDSO_SOURCE}/vdso.c ${HEARTH_VDSO_SOURCE}/vdso.lds
    COMMENT "Building the guest's vDSO"
    VERBATIM)
set_source_files_properties(exec/vdso_image.cpp PROPERTIES
    OBJECT_DEPENDS ${HEARTH_VDSO}
    COMPILE_DEFINITIONS "HEARTH_VDSO_FILE=\"${HEARTH_VDSO}\"")
