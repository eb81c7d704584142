# Tests, fuzz targets, benchmarks and checks. Files are found by their place and name; see tests/README.md.

find_package(Python3 COMPONENTS Interpreter)

set(KLUIS_TEST_ENVIRONMENT
    "ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1"
    "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
    "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp:ignore_noninstrumented_modules=1:second_deadlock_stack=1"
    "KLUIS_SOURCE_DIR=${CMAKE_SOURCE_DIR}"
    "KLUIS_BUILD_DIR=${CMAKE_BINARY_DIR}"
    "KLUISD=${CMAKE_BINARY_DIR}/kluisd"
    "KLUIS=${CMAKE_BINARY_DIR}/kluis")

# What all tests share: a test's exit status 77 means skipped.
function(kluis_test_properties test seconds)
    set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${seconds}
        ENVIRONMENT "${KLUIS_TEST_ENVIRONMENT}" LABELS "${ARGN}")
endfunction()

# The libraries that exist, in link order from the highest layer.
set(KLUIS_LIBRARIES "")
foreach(layer cli api vault kms base)
    if(TARGET kluis_${layer})
        list(APPEND KLUIS_LIBRARIES kluis_${layer})
    endif()
endforeach()

file(GLOB support_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/support/*.c")
if(support_)
    add_library(kluis_test_support STATIC ${support_})
    target_link_libraries(kluis_test_support PRIVATE kluis_flags PUBLIC ${KLUIS_LIBRARIES} kluis::cmocka)
    set(KLUIS_TEST_SUPPORT kluis_test_support)
endif()

# tests/<folder>/test_<name>.c: one cmocka program each, target test_<name>, test <folder>/test_<name>. Where two folders have
# a test of the same name, the target of the second is test_<folder>_<name>.
file(GLOB unit_tests_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/tests/*/test_*.c")
foreach(source IN LISTS unit_tests_)
    cmake_path(GET source STEM name)
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(GET folder FILENAME folder)
    set(target ${name})
    if(TARGET ${target})
        string(REPLACE "test_" "test_${folder}_" target "${name}")
    endif()
    add_executable(${target} "${source}")
    target_link_libraries(${target} PRIVATE kluis_flags ${KLUIS_TEST_SUPPORT} ${KLUIS_LIBRARIES} kluis::cmocka)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests/${folder}")
    add_test(NAME ${folder}/${name} COMMAND ${target} WORKING_DIRECTORY "${CMAKE_BINARY_DIR}/tests/${folder}")
    kluis_test_properties(${folder}/${name} 300 unit)
endforeach()
