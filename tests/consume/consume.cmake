# cmake -D WAY=installed|subdirectory … -P consume.cmake: see CMakeLists.txt beside.
function(run)
    execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

file(REMOVE_RECURSE ${WORK})
# No build type: neither optimised nor with debug information, as only building and running is tested here.
set(arguments -S ${CMAKE_CURRENT_LIST_DIR}/app -B ${WORK}/build -G ${GENERATOR}
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER}
    -DWITH_HTTP=${HTTP})
if(WAY STREQUAL "installed")
    run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
    # The user's flags must match what the tree was built with.
    list(APPEND arguments -DCMAKE_PREFIX_PATH=${WORK}/prefix)
    if(SANITIZE)
        list(APPEND arguments -DCMAKE_CXX_FLAGS=-fsanitize=${SANITIZE})
    endif()
else()
    list(APPEND arguments -DHEARTH_SOURCE=${SOURCE} -DHEARTH_HTTP=${HTTP} -DCMAKE_UNITY_BUILD=ON)
endif()
run(${CMAKE_COMMAND} ${arguments})
run(${CMAKE_COMMAND} --build ${WORK}/build --parallel 2)
run(${WORK}/build/app)
