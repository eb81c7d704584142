/* Certificates for tests: small authorities, and what they sign. EC P-256, one day long. */
#ifndef KLUIS_TESTS_SUPPORT_TLS_CERTIFICATES_H
#define KLUIS_TESTS_SUPPORT_TLS_CERTIFICATES_H

#include <stdbool.h>

#define TEST_PATH_BYTES 256
#define TEST_HASH_BYTES 32

/* One certificate with its key, both as PEM files; sha256 is the hash of its DER form. */
struct test_certificate {
    char cert_file[TEST_PATH_BYTES];
    char key_file[TEST_PATH_BYTES];
    unsigned char sha256[TEST_HASH_BYTES];
};

/*
 * Make NAME.crt and NAME.key in dir. issuer NULL: an authority that signs itself, else one for
 * common_name, signed by issuer. ended: its life is over already. Any failure is an assert.
 */
void test_certificate_make(const char *dir, const char *name, const char *common_name,
                           const struct test_certificate *issuer, bool ended,
                           struct test_certificate *ret_certificate);

/*
 * A fresh folder under the system's temporary one; removed, with the files in it, by
 * test_folder_remove().
 */
void test_folder_make(char ret_dir[TEST_PATH_BYTES]);
void test_folder_remove(const char *dir);

#endif
