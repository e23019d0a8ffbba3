list(APPEND HEARTH_GUEST_SOURCES
    mm/access.cpp
    mm/address_space.cpp
    mm/advise.cpp
    mm/file_backing.cpp
    mm/frame_allocator.cpp
    mm/page_tables.cpp
    mm/supply.cpp
    mm/vma.cpp)
