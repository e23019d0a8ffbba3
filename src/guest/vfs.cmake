list(APPEND HEARTH_GUEST_SOURCES
    vfs/fd_table.cpp
    vfs/file_content.cpp
    vfs/file_io.cpp
    vfs/filesystem.cpp
    vfs/host_tree.cpp
    vfs/mappable.cpp
    vfs/memory_tree.cpp
    vfs/open.cpp
    vfs/presets.cpp
    vfs/proc_cpuinfo.cpp
    vfs/procfs.cpp
    vfs/readiness.cpp
    vfs/service_sockets.cpp
    vfs/tmpfs.cpp
    vfs/user_buffers.cpp
    vfs/vfs_state.cpp)
