# How the folders of the tree become targets.

# kluis_add_layer(<folder> [EXCLUDE <file>...] LIBRARIES <target>...)
# Makes the static library kluis_<folder> of <folder>/*.c and <folder>/*/*.c. Targets that do not exist yet are left out.
function(kluis_add_layer folder)
    cmake_parse_arguments(arg "" "" "EXCLUDE;LIBRARIES" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${folder}/*.c" "${CMAKE_SOURCE_DIR}/${folder}/*/*.c")
    foreach(file IN LISTS arg_EXCLUDE)
        list(REMOVE_ITEM sources "${CMAKE_SOURCE_DIR}/${folder}/${file}")
    endforeach()
    if(NOT sources)
        return()
    endif()
    add_library(kluis_${folder} STATIC ${sources})
    target_link_libraries(kluis_${folder} PRIVATE kluis_flags)
    foreach(library IN LISTS arg_LIBRARIES)
        if(TARGET ${library})
            target_link_libraries(kluis_${folder} PUBLIC ${library})
        endif()
    endforeach()
endfunction()

# kluis_add_program(<name> <main source> LIBRARIES <target>...): a program at build/<preset>/<name>.
function(kluis_add_program name main)
    cmake_parse_arguments(arg "" "" "LIBRARIES" ${ARGN})
    if(NOT EXISTS "${CMAKE_SOURCE_DIR}/${main}")
        return()
    endif()
    add_executable(${name} "${CMAKE_SOURCE_DIR}/${main}")
    target_link_libraries(${name} PRIVATE kluis_flags)
    foreach(library IN LISTS arg_LIBRARIES)
        if(TARGET ${library})
            target_link_libraries(${name} PRIVATE ${library})
        endif()
    endforeach()
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}")
endfunction()

# kluis_embed(<target> <file> <symbol>): the bytes of a file become part of a target, as
#   extern const unsigned char <symbol>[];  extern const size_t <symbol>_bytes;
# One zero byte follows, which the size does not count.
function(kluis_embed target file symbol)
    set(KLUIS_EMBED_FILE "${CMAKE_SOURCE_DIR}/${file}")
    set(KLUIS_EMBED_SYMBOL "${symbol}")
    set(source "${CMAKE_BINARY_DIR}/embed/${symbol}.c")
    configure_file("${CMAKE_SOURCE_DIR}/cmake/embed.c.in" "${source}" @ONLY)
    set_source_files_properties("${source}" PROPERTIES OBJECT_DEPENDS "${KLUIS_EMBED_FILE}")
    target_sources(${target} PRIVATE "${source}")
endfunction()
