# hearth_embed_files(TARGET AS NAMESPACE::FUNCTION OF TYPE IN HEADER BASE DIRECTORY FILES FILE...)
# Writes text files into a source file of the target, so that it needs no place to be installed in. HEADER declares
# `struct TYPE { std::string_view path, text; }` and `std::span<const TYPE> FUNCTION() noexcept`; paths are below
# DIRECTORY. As a script: does the writing.
if(CMAKE_SCRIPT_MODE_FILE)
    set(made "#include \"${IN}\"\n\nnamespace ${NAMESPACE} {\nnamespace {\n\nconstexpr ${OF} all[] = {\n")
    foreach(name IN LISTS NAMES)
        file(READ ${BASE}/${name} text)
        string(APPEND made "{\"${name}\", R\"hearth-file(${text})hearth-file\"},\n")
    endforeach()
    string(APPEND made "};\n\n}  // namespace\n\nstd::span<const ${OF}> ${FUNCTION}() noexcept { return all; }\n\n")
    string(APPEND made "}  // namespace ${NAMESPACE}\n")
    file(WRITE ${OUTPUT} "${made}")
    return()
endif()

set(HEARTH_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})
function(hearth_embed_files TARGET)
    cmake_parse_arguments(EMBED "" "AS;OF;IN;BASE" "FILES" ${ARGN})
    string(REGEX MATCH "^(.*)::([^:]*)$" matched ${EMBED_AS})
    set(namespace ${CMAKE_MATCH_1})
    set(function ${CMAKE_MATCH_2})
    set(output ${CMAKE_CURRENT_BINARY_DIR}/${function}.cpp)
    set(names)
    foreach(file IN LISTS EMBED_FILES)
        file(RELATIVE_PATH name ${EMBED_BASE} ${file})
        list(APPEND names ${name})
    endforeach()
    list(SORT names)
    add_custom_command(
        OUTPUT ${output}
        COMMAND ${CMAKE_COMMAND} "-DNAMES=${names}" -DBASE=${EMBED_BASE} -DIN=${EMBED_IN} -DOF=${EMBED_OF}
                -DNAMESPACE=${namespace} -DFUNCTION=${function} -DOUTPUT=${output} -P ${HEARTH_EMBED_SCRIPT}
        DEPENDS ${EMBED_FILES} ${HEARTH_EMBED_SCRIPT}
        COMMENT "Writing ${function} into a source file"
        VERBATIM)
    target_sources(${TARGET} PRIVATE ${output})
endfunction()
