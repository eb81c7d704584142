# Tests, fuzz targets, benchmarks and checks. A file's place and name make it one; nothing is listed here.

set(KLUIS_TEST_ENVIRONMENT
    # What is freed is kept from use for 16 MB, not 256: with more, new pages cost a quarter of the time.
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1:quarantine_size_mb=16"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp:ignore_noninstrumented_modules=1:second_deadlock_stack=1"
    "KLUIS_SOURCE_DIR=${CMAKE_SOURCE_DIR}"
    "KLUIS_BUILD_DIR=${CMAKE_BINARY_DIR}"
    "KLUIS_SANITIZE=${KLUIS_SANITIZE}"
    "KLUISD=${CMAKE_BINARY_DIR}/kluisd"
    "KLUIS=${CMAKE_BINARY_DIR}/kluis"
    "KLUIS_WATCH_IO=${CMAKE_BINARY_DIR}/tests/support/watch_io.so"
    "KLUIS_CUT_OFF=${CMAKE_BINARY_DIR}/tests/support/cut_off.so")

# What all tests share. A test that ends with status 77 counts as skipped.
function(kluis_test_properties test seconds)
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${seconds}
        ENVIRONMENT "${KLUIS_TEST_ENVIRONMENT}" LABELS "${ARGN}")
endfunction()

# The libraries a program that belongs to a folder is linked with, highest first: the folder's layer and those below it, so that
# the tests of a lower layer build while a higher one does not. tests/cmake/ gets none, any other folder all of them.
function(kluis_libraries_of folder ret_libraries)
    if(folder STREQUAL "base")
        set(layers base)
    elseif(folder STREQUAL "kms")
        set(layers kms base)
    elseif(folder STREQUAL "vault")
        set(layers vault kms base)
    elseif(folder STREQUAL "cli")
        set(layers cli base)
    elseif(folder STREQUAL "cmake")
        set(layers "")
    else()
        set(layers cli api vault kms base)
    endif()
    set(libraries "")
    foreach(layer IN LISTS layers)
        if(TARGET kluis_${layer})
            list(APPEND libraries kluis_${layer})
        endif()
    endforeach()
    set(${ret_libraries} ${libraries} PARENT_SCOPE)
endfunction()

# tests/support/*.c is for tests of every folder; whoever uses a part of it has the layers which that part calls.
file(GLOB support_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/support/*.c")
if(support_)
    add_library(kluis_test_support STATIC ${support_})
    target_link_libraries(kluis_test_support PRIVATE kluis_flags PUBLIC kluis::cmocka kluis::sodium kluis::yyjson)
    target_include_directories(kluis_test_support SYSTEM PRIVATE
        $<TARGET_PROPERTY:kluis::p11kit,INTERFACE_INCLUDE_DIRECTORIES>
        $<TARGET_PROPERTY:kluis_rocksdb,INTERFACE_INCLUDE_DIRECTORIES>
        $<TARGET_PROPERTY:kluis_mbedtls,INTERFACE_INCLUDE_DIRECTORIES>)
    target_compile_definitions(kluis_test_support PRIVATE
        $<TARGET_PROPERTY:kluis_mbedtls,INTERFACE_COMPILE_DEFINITIONS>)
    set(KLUIS_TEST_SUPPORT kluis_test_support)
endif()

# Three hundred programs are linked for tests: by lld, where there is one, in half the time.
find_program(KLUIS_LLD ld.lld)
mark_as_advanced(KLUIS_LLD)

# kluis_add_test_program(<target> <folder> <source>): linked as the folder asks, placed at build/<preset>/tests/<folder>/.
function(kluis_add_test_program target folder source)
    cmake_path(GET source STEM name)
    kluis_libraries_of(${folder} libraries)
    add_executable(${target} "${source}" ${ARGN})
    target_link_libraries(${target} PRIVATE kluis_flags ${KLUIS_TEST_SUPPORT} ${libraries}
        kluis::cmocka kluis::sodium kluis::yyjson kluis::mbedtls)
    # A test's own code is a small part of what runs, and optimising it a large part of what building it under a sanitizer takes.
    if(KLUIS_SANITIZE)
        target_compile_options(${target} PRIVATE -O0)
    endif()
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/${folder}")
    # Those that include this header let allocations fail and look at what is freed, in calls between files of ours too, which lld wraps not all.
    file(STRINGS "${source}" no_memory REGEX "support/no_memory\\.h")
    if(KLUIS_LLD AND NOT no_memory)
        target_link_options(${target} PRIVATE -fuse-ld=lld)
    endif()
    if(no_memory)
        target_link_options(${target} PRIVATE "LINKER:--wrap=malloc,--wrap=calloc,--wrap=realloc"
            "LINKER:--wrap=strdup,--wrap=strndup,--wrap=sodium_malloc,--wrap=free")
    endif()
endfunction()

# tests/<folder>/test_<name>.c: one cmocka program each, target test_<name>, test <folder>/test_<name>. Where two folders have
# a test of the same name, the target of the second is test_<folder>_<name>. Those in which several threads run have the label `threads`
# as well, and are built alone by the target threads_tests: what ThreadSanitizer is for. Those with a case that no sanitizer lets run are
# `plain` in a build without one. Targets for what tests/run has time for: unit_tests are all of them with the fuzz corpora, short_tests
# the plain ones with all that the scripts below need.
add_custom_target(threads_tests)
add_custom_target(unit_tests)
add_custom_target(short_tests)
file(GLOB unit_tests_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/*/test_*.c")
foreach(source_ IN LISTS unit_tests_)
    cmake_path(GET source_ STEM name_)
    cmake_path(GET source_ PARENT_PATH folder_)
    cmake_path(GET folder_ FILENAME folder_)
    set(target_ ${name_})
    if(TARGET ${target_})
        string(REGEX REPLACE "^test_" "test_${folder_}_" target_ "${name_}")
    endif()
    kluis_add_test_program(${target_} ${folder_} "${source_}")
    add_dependencies(unit_tests ${target_})
    add_test(NAME ${folder_}/${name_} COMMAND ${target_} WORKING_DIRECTORY "${CMAKE_BINARY_DIR}/tests/${folder_}")
    set(labels_ unit)
    file(STRINGS "${source_}" threads_ REGEX "pthread_create|upkeep_start|support/tls_server\\.h" LIMIT_COUNT 1)
    if(threads_)
        list(APPEND labels_ threads)
        add_dependencies(threads_tests ${target_})
    endif()
    file(STRINGS "${source_}" plain_ REGEX "__SANITIZE_" LIMIT_COUNT 1)
    if(plain_ AND KLUIS_SANITIZE STREQUAL "")
        list(APPEND labels_ plain)
        add_dependencies(short_tests ${target_})
    endif()
    kluis_test_properties(${folder_}/${name_} 300 ${labels_})
endforeach()

# What the tests of faults need beside kluisd: a library that watches its writes, an adversary that knows its formats, and a kluisd
# whose erasure is broken on purpose, by which the hoarder shows that it would notice.
file(GLOB watch_io_sources_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/support/watch_io/*.c")
add_library(watch_io MODULE ${watch_io_sources_})
target_link_libraries(watch_io PRIVATE kluis_flags)
target_compile_options(watch_io PRIVATE -U_FORTIFY_SOURCE)
target_link_libraries(watch_io PRIVATE ${CMAKE_DL_LIBS})
set_target_properties(watch_io PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/support")
# What tests of mirrors need: a folder that is cut off while the server runs.
add_library(cut_off MODULE tests/support/cut_off/cut_off.c)
target_link_libraries(cut_off PRIVATE kluis_flags ${CMAKE_DL_LIBS})
set_target_properties(cut_off PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/support")
set(adversary_ "${CMAKE_SOURCE_DIR}/tests/faults/hoarder")
if(TARGET kluis_api AND EXISTS "${adversary_}/main.c")
    file(GLOB adversary_sources_ CONFIGURE_DEPENDS "${adversary_}/*.c")
    add_executable(hoarder_adversary ${adversary_sources_})
    target_link_libraries(hoarder_adversary PRIVATE kluis_flags kluis::sodium kluis::rocksdb)
    add_executable(kluisd_broken api/main.c kms/plan.c)
    target_compile_definitions(kluisd_broken PRIVATE KLUIS_FAULT_BROKEN_ERASURE)
    target_link_libraries(kluisd_broken PRIVATE kluis_flags kluis_api)
    set_target_properties(hoarder_adversary kluisd_broken PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/support")
endif()

# What scripts drive at speed: the api over a vault, on a clock of theirs, a request and an answer a line.
if(TARGET kluis_api)
    kluis_add_test_program(vault_driver support "${CMAKE_SOURCE_DIR}/tests/support/vault_driver/vault_driver.c")
    target_link_options(vault_driver PRIVATE "LINKER:--wrap=kl_time_now_us")
    # What edits a store at rest.
    kluis_add_test_program(row_editor support "${CMAKE_SOURCE_DIR}/tests/support/row_editor/row_editor.c")
endif()

add_dependencies(short_tests watch_io cut_off)
foreach(target_ kluisd kluis kluisd_broken hoarder_adversary vault_driver)
    if(TARGET ${target_})
        add_dependencies(short_tests ${target_})
    endif()
endforeach()

# tests/scenarios/<name>/run and tests/faults/<name>/run: scripts against the real programs. Each runs in a folder of its own
# that is empty at the start. `# kluis-test: all` as a script's third line keeps it out of the short run (label `long`).
foreach(kind_ scenario fault)
    file(GLOB scripts_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/${kind_}s/*/run")
    foreach(script_ IN LISTS scripts_)
        cmake_path(GET script_ PARENT_PATH folder_)
        cmake_path(GET folder_ FILENAME folder_)
        set(test_ ${kind_}s/${folder_})
        set(labels_ ${kind_})
        file(STRINGS "${script_}" lines_ LIMIT_COUNT 3)
        if(lines_ MATCHES "# kluis-test: all")
            list(APPEND labels_ long)
        endif()
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${script_}")
        add_test(NAME ${test_} COMMAND "${CMAKE_SOURCE_DIR}/cmake/run-in-empty-folder"
            "${CMAKE_BINARY_DIR}/tests/${test_}" "${script_}")
        if("long" IN_LIST labels_)
            kluis_test_properties(${test_} 7200 ${labels_})
        else()
            kluis_test_properties(${test_} 900 ${labels_})
        endif()
        # These take longest: begun first, they are not what all else waits for at the end.
        if(test_ MATCHES "^faults/" OR test_ STREQUAL "scenarios/memory")
            set_tests_properties(${test_} PROPERTIES COST 100)
        endif()
    endforeach()
endforeach()

# tests/fuzz/fuzz_<name>.c define LLVMFuzzerTestOneInput. Preset fuzz makes fuzzers of them; the others make programs that run
# once over tests/fuzz/corpus/<name>/, so that a crash found once stays fixed.
file(GLOB fuzz_targets_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_*.c")
foreach(source_ IN LISTS fuzz_targets_)
    cmake_path(GET source_ STEM target_)
    string(REGEX REPLACE "^fuzz_" "" name_ "${target_}")
    set(corpus_ "${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name_}")
    if(KLUIS_SANITIZE STREQUAL "fuzzer")
        kluis_add_test_program(${target_} fuzz "${source_}")
        target_link_options(${target_} PRIVATE -fsanitize=fuzzer)
        add_test(NAME fuzz/${target_} COMMAND ${target_} -runs=0 "${corpus_}")
    else()
        kluis_add_test_program(${target_} fuzz "${source_}" "${CMAKE_SOURCE_DIR}/cmake/fuzz_replay.c")
        add_test(NAME fuzz/${target_} COMMAND ${target_} "${corpus_}")
    endif()
    add_dependencies(unit_tests ${target_})
    kluis_test_properties(fuzz/${target_} 300 fuzz-corpus)
endforeach()

# bench/bench_<subject>.c: programs at build/<preset>/bench/, built by the target bench only.
file(GLOB benchmarks_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/bench/bench_*.c")
if(benchmarks_)
    add_custom_target(bench)
    kluis_libraries_of(bench libraries_)
    foreach(source_ IN LISTS benchmarks_)
        cmake_path(GET source_ STEM target_)
        add_executable(${target_} EXCLUDE_FROM_ALL "${source_}")
        target_link_libraries(${target_} PRIVATE kluis_flags ${KLUIS_TEST_SUPPORT} ${libraries_})
        set_target_properties(${target_} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bench")
        add_dependencies(bench ${target_})
    endforeach()
endif()
# A kluisd whose reads are told to no trail, for bench/http_trail.py alone.
if(TARGET kluis_api AND TARGET bench)
    add_executable(kluisd_untold EXCLUDE_FROM_ALL api/main.c bench/untold/untold.c)
    target_link_libraries(kluisd_untold PRIVATE kluis_flags kluis_api kluis_vault)
    target_link_options(kluisd_untold PRIVATE "LINKER:--wrap=vault_audit_commit")
    set_target_properties(kluisd_untold PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bench")
    add_dependencies(bench kluisd_untold)
endif()

# Checks of the source tree itself.
add_test(NAME check/headers COMMAND "${CMAKE_SOURCE_DIR}/cmake/check-headers" "${CMAKE_C_COMPILER}"
    -std=c17 -D_GNU_SOURCE ${KLUIS_WARNINGS} -Werror)
kluis_test_properties(check/headers 120 check)
add_test(NAME check/layers COMMAND "${CMAKE_SOURCE_DIR}/cmake/check-layers" "${CMAKE_SOURCE_DIR}")
kluis_test_properties(check/layers 60 check)
add_test(NAME check/format COMMAND "${CMAKE_SOURCE_DIR}/cmake/check-format")
kluis_test_properties(check/format 120 check)
