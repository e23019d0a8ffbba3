hearth_test(guest_vfs
    SOURCES vfs_tmpfs_test.cpp vfs_lock_test.cpp vfs_shared_mapping_test.cpp vfs_path_test.cpp vfs_host_test.cpp vfs_file_calls_test.cpp vfs_proc_test.cpp vfs_interfaces_test.cpp vfs_name_calls_test.cpp
        vfs_wait_calls_test.cpp vfs_local_socket_test.cpp vfs_socket_calls_test.cpp vfs_state_test.cpp vfs_wild_test.cpp
    LABELS unit)
