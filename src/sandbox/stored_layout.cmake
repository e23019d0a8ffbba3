# What a stored snapshot's bytes mean depends on these files. A digest of their text goes into every
# snapshot, so that a build in which any of them differs makes its snapshots anew. This catches what
# sizes do not show: two fields that changed places, another meaning of a page-table bit.
#
# Included by CMakeLists.txt for the list; as a script (-DSOURCE=src -DOUTPUT=file) makes the header.
file(GLOB HEARTH_STORED_LAYOUT LIST_DIRECTORIES false
    RELATIVE ${CMAKE_CURRENT_LIST_DIR}/..
    ${CMAKE_CURRENT_LIST_DIR}/../guest/exec/vdso/*
    ${CMAKE_CURRENT_LIST_DIR}/../guest/mm/*.hpp
    ${CMAKE_CURRENT_LIST_DIR}/../vmm/x86_64/*)
list(APPEND HEARTH_STORED_LAYOUT
    base/codec.hpp
    guest/exec/vvar_clock.hpp
    guest/kernel/kernel_state.hpp
    guest/kernel/native_exchange.hpp
    guest/kernel/signal_state.hpp
    guest/kernel/wait_state.hpp
    guest/vfs/byte_queue.hpp
    guest/vfs/description.hpp
    guest/vfs/fd_table.hpp
    guest/vfs/file_content.hpp
    guest/vfs/file_lock.hpp
    guest/vfs/pipe.hpp
    guest/vfs/socket_name.hpp
    guest/vfs/tmpfs.hpp
    guest/vfs/vfs_state.hpp
    sandbox/snapshot_codec.cpp
    sandbox/snapshot_header.hpp
    sandbox/snapshot_image.hpp
    sandbox/stored_files.hpp
    vmm/address.hpp
    vmm/vcpu_state.hpp)
list(SORT HEARTH_STORED_LAYOUT)

if(CMAKE_SCRIPT_MODE_FILE)
    set(digests)
    foreach(file IN LISTS HEARTH_STORED_LAYOUT)
        file(SHA256 ${SOURCE}/${file} digest)
        string(APPEND digests "${file} ${digest}\n")
    endforeach()
    string(SHA256 digest "${digests}")
    file(WRITE ${OUTPUT} "#pragma once\n\ninline constexpr char stored_layout[] = \"${digest}\";\n")
endif()
