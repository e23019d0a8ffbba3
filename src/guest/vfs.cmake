list(APPEND HEARTH_GUEST_SOURCES
    vfs/fd_table.cpp
    vfs/file_content.cpp
    vfs/filesystem.cpp
    vfs/host_tree.cpp
    vfs/memory_tree.cpp
    vfs/presets.cpp
    vfs/proc_cpuinfo.cpp
    vfs/procfs.cpp
    vfs/tmpfs.cpp
    vfs/vfs_state.cpp)
