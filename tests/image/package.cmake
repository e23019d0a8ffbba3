# A program that needs a library of its own, found by $ORIGIN/lib: for packages with and without it.
add_library(hearth_test_needed SHARED needed_library.c)
set_target_properties(hearth_test_needed PROPERTIES OUTPUT_NAME needed)
add_executable(hearth_test_needing needing_program.c)
target_link_libraries(hearth_test_needing PRIVATE hearth_test_needed)
set_target_properties(hearth_test_needing PROPERTIES BUILD_WITH_INSTALL_RPATH ON INSTALL_RPATH "$ORIGIN/lib")

hearth_test(image_package
    SOURCES package_zip_test.cpp package_source_test.cpp layers_test.cpp package_entry_point_test.cpp
        managed_runtime_test.cpp
    LABELS unit LIBRARIES LibArchive::LibArchive)
target_compile_definitions(test_image_package PRIVATE
    NEEDING_PROGRAM="$<TARGET_FILE:hearth_test_needing>" NEEDED_LIBRARY="$<TARGET_FILE:hearth_test_needed>")
add_dependencies(test_image_package hearth_test_needing hearth_test_needed)
