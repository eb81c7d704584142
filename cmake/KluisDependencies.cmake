# Third-party libraries as targets kluis::<name>. cmake/README.md says why each was chosen.
# The system's libraries are found; CivetWeb, Mbed TLS and yyjson are built from the sources that cmake/fetch-sources obtains.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# kluis_system_library(<name> <pkg-config module> <minimum version> <Debian package>)
function(kluis_system_library name module version package)
    pkg_check_modules(${name} QUIET IMPORTED_TARGET GLOBAL "${module}>=${version}")
    if(NOT ${name}_FOUND)
        message(FATAL_ERROR "${module} ${version} or later is missing (Debian package ${package}). "
            "cmake/install-dependencies installs what is needed.")
    endif()
    add_library(kluis::${name} ALIAS PkgConfig::${name})
endfunction()

kluis_system_library(sodium libsodium 1.0.18 libsodium-dev)
kluis_system_library(yaml yaml-0.1 0.2.5 libyaml-dev)
kluis_system_library(curl libcurl 7.88 libcurl4-openssl-dev)
kluis_system_library(utf8proc libutf8proc 2.6 libutf8proc-dev) # Debian 12 ships 2.8 and calls it 2.6
kluis_system_library(idn2 libidn2 2.3 libidn2-dev)
kluis_system_library(p11kit p11-kit-1 0.24 libp11-kit-dev)
kluis_system_library(smartcols smartcols 2.38 libsmartcols-dev)
kluis_system_library(cmocka cmocka 1.1.5 libcmocka-dev)

# RocksDB's pkg-config file names its own static dependencies, which a program linking the shared library does not need.
find_path(KLUIS_ROCKSDB_INCLUDE rocksdb/c.h)
find_library(KLUIS_ROCKSDB_LIBRARY rocksdb)
if(NOT KLUIS_ROCKSDB_INCLUDE OR NOT KLUIS_ROCKSDB_LIBRARY)
    message(FATAL_ERROR "RocksDB is missing (Debian package librocksdb-dev). cmake/install-dependencies installs what is needed.")
endif()
add_library(kluis_rocksdb INTERFACE)
add_library(kluis::rocksdb ALIAS kluis_rocksdb)
target_include_directories(kluis_rocksdb SYSTEM INTERFACE "${KLUIS_ROCKSDB_INCLUDE}")
target_link_libraries(kluis_rocksdb INTERFACE "${KLUIS_ROCKSDB_LIBRARY}")

# The pinned sources.
set(KLUIS_SOURCES_DIR "${KLUIS_DEPS_DIR}/sources")
set(from_ "")
if(KLUIS_SOURCES)
    set(from_ --from "${KLUIS_SOURCES}")
endif()
execute_process(COMMAND "${CMAKE_SOURCE_DIR}/cmake/fetch-sources" ${from_} "${KLUIS_SOURCES_DIR}" RESULT_VARIABLE result_)
if(NOT result_ EQUAL 0)
    message(FATAL_ERROR "the pinned sources could not be obtained; see above, or give them with -DKLUIS_SOURCES=DIR")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    cmake/sources.pins cmake/fetch-sources cmake/mbedtls/build.mk cmake/mbedtls/kluis_mbedtls_config.h
    cmake/mbedtls/x25519_choose.c)

# Mbed TLS is built here, once for all presets that can share it. Only ThreadSanitizer needs a copy of its own (it has to see
# the library's locks), and KLUIS_NATIVE wants one. -O3 is kept from the plain build: without AES instructions some versions
# of gcc compile GCM wrongly with it.
set(flavour_ plain)
set(flags_ -O2 -g1 -fPIC -fstack-protector-strong -ffunction-sections -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
set(flags_bmi2_ "")
set(compiler_ cc)
find_program(KLUIS_CC_PLAIN NAMES gcc cc)
if(KLUIS_CC_PLAIN)
    set(compiler_ "${KLUIS_CC_PLAIN}")
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
    list(APPEND flags_ -fcf-protection)
    set(flags_bmi2_ -O3 -mbmi2)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    list(APPEND flags_ -mbranch-protection=standard)
endif()
if(KLUIS_SANITIZE STREQUAL "thread")
    set(flavour_ "tsan-${CMAKE_C_COMPILER_ID}")
    set(compiler_ "${CMAKE_C_COMPILER}")
    set(flags_ -O2 -g1 -fPIC -ffunction-sections -fsanitize=thread)
elseif(KLUIS_NATIVE)
    # AVX-512 makes ChaCha20 slower with gcc 12, measured.
    set(flavour_ native)
    list(APPEND flags_ -march=native)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
        list(APPEND flags_ -mno-avx512f)
    endif()
endif()
list(JOIN flags_ " " flags_)
list(JOIN flags_bmi2_ " " flags_bmi2_)
set(KLUIS_MBEDTLS_DIR "${KLUIS_DEPS_DIR}/mbedtls-${flavour_}")
file(MAKE_DIRECTORY "${KLUIS_MBEDTLS_DIR}")
file(LOCK "${KLUIS_MBEDTLS_DIR}" DIRECTORY GUARD PROCESS TIMEOUT 600)
file(CONFIGURE OUTPUT "${KLUIS_MBEDTLS_DIR}/flags" CONTENT "${compiler_} ${flags_} ${flags_bmi2_}\n")
find_program(KLUIS_MAKE NAMES make gmake REQUIRED)
message(STATUS "Mbed TLS (${flavour_}) in ${KLUIS_MBEDTLS_DIR}")
execute_process(
    COMMAND ${CMAKE_COMMAND} -E env --unset=MAKEFLAGS --unset=MFLAGS "${KLUIS_MAKE}" -s -j2
        -f "${CMAKE_SOURCE_DIR}/cmake/mbedtls/build.mk" "SRC=${KLUIS_SOURCES_DIR}/mbedtls"
        "OUT=${KLUIS_MBEDTLS_DIR}" "CC=${compiler_}" "FLAGS=${flags_}" "FLAGS_BMI2=${flags_bmi2_}"
    RESULT_VARIABLE result_)
file(LOCK "${KLUIS_MBEDTLS_DIR}" DIRECTORY RELEASE)
if(NOT result_ EQUAL 0)
    message(FATAL_ERROR "Mbed TLS could not be built; see above")
endif()
add_library(kluis_mbedtls INTERFACE)
add_library(kluis::mbedtls ALIAS kluis_mbedtls)
target_include_directories(kluis_mbedtls SYSTEM INTERFACE "${CMAKE_SOURCE_DIR}/cmake/mbedtls"
    "${KLUIS_SOURCES_DIR}/mbedtls/include" "${KLUIS_SOURCES_DIR}/mbedtls/3rdparty/everest/include")
target_compile_definitions(kluis_mbedtls INTERFACE MBEDTLS_CONFIG_FILE="kluis_mbedtls_config.h")
target_link_libraries(kluis_mbedtls INTERFACE "${KLUIS_MBEDTLS_DIR}/libmbedtls.a" Threads::Threads)

# yyjson: one file, compiled with the flags of the preset. What we do not use of it is left out.
add_library(kluis_yyjson STATIC "${KLUIS_SOURCES_DIR}/yyjson/src/yyjson.c")
add_library(kluis::yyjson ALIAS kluis_yyjson)
target_compile_options(kluis_yyjson PRIVATE -w)
# Checked for undefined behaviour too it takes clang more than a minute; preset fuzz does so.
if(KLUIS_SANITIZE STREQUAL "address")
    target_compile_options(kluis_yyjson PRIVATE -fno-sanitize=undefined)
endif()
target_include_directories(kluis_yyjson SYSTEM PUBLIC "${KLUIS_SOURCES_DIR}/yyjson/src")
target_compile_definitions(kluis_yyjson PUBLIC YYJSON_DISABLE_UTILS=1 YYJSON_DISABLE_NON_STANDARD=1)

# CivetWeb: a copy with our TLS module (api/civetweb/mod_mbedtls.inl) in place of its own and our patches after Debian's.
set(civetweb_dir_ "${CMAKE_BINARY_DIR}/civetweb")
file(GLOB civetweb_patches_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/cmake/civetweb/*.patch")
file(GLOB civetweb_shim_ CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/api/civetweb/*")
add_custom_command(
    OUTPUT "${civetweb_dir_}/src/civetweb.c"
    COMMAND "${CMAKE_SOURCE_DIR}/cmake/civetweb/prepare" "${KLUIS_SOURCES_DIR}/civetweb" "${civetweb_dir_}" ${civetweb_patches_}
    DEPENDS "${KLUIS_SOURCES_DIR}/civetweb/src/civetweb.c" "${CMAKE_SOURCE_DIR}/cmake/civetweb/prepare" ${civetweb_patches_}
    COMMENT "Preparing CivetWeb" VERBATIM)
if(EXISTS "${CMAKE_SOURCE_DIR}/api/civetweb/mod_mbedtls.inl")
    add_library(kluis_civetweb STATIC "${civetweb_dir_}/src/civetweb.c")
    target_compile_options(kluis_civetweb PRIVATE -w)
    target_compile_definitions(kluis_civetweb PRIVATE
        NO_SSL USE_MBEDTLS NO_CGI NO_CACHING NO_FILES NO_FILESYSTEMS USE_IPV6 SOCKET_TIMEOUT_QUANTUM=200
        MG_EXTERNAL_FUNCTION_mg_cry_internal_impl MG_EXTERNAL_FUNCTION_log_access)
    target_include_directories(kluis_civetweb PRIVATE "${CMAKE_SOURCE_DIR}/api/civetweb"
        "${CMAKE_SOURCE_DIR}/cmake/civetweb" "${CMAKE_SOURCE_DIR}/include" "${CMAKE_SOURCE_DIR}")
    target_include_directories(kluis_civetweb SYSTEM PUBLIC "${KLUIS_SOURCES_DIR}/civetweb/include")
    target_link_libraries(kluis_civetweb PUBLIC kluis::mbedtls Threads::Threads ${CMAKE_DL_LIBS})
    set_source_files_properties("${civetweb_dir_}/src/civetweb.c" PROPERTIES OBJECT_DEPENDS "${civetweb_shim_}")
else()
    add_library(kluis_civetweb INTERFACE)
    target_include_directories(kluis_civetweb SYSTEM INTERFACE "${KLUIS_SOURCES_DIR}/civetweb/include")
endif()
add_library(kluis::civetweb ALIAS kluis_civetweb)
