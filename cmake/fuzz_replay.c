/*
 * main() for a fuzz target without a fuzzer: gives it every file named on the command line, or lying in a folder named there,
 * and also the empty input. The target itself aborts on what it finds wrong.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define REPLAY_PATH_MAX_BYTES 4096
#define REPLAY_INPUT_MAX_BYTES (16U * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_bytes);

static size_t inputs_replayed;

/* A heap copy of exactly the input's size, so that AddressSanitizer sees the first byte read past its end. */
static void replay_bytes(const uint8_t *data, size_t data_bytes)
{
    uint8_t *copy = malloc(data_bytes == 0 ? 1 : data_bytes);

    if (copy == NULL) {
        fprintf(stderr, "could not allocate %zu bytes\n", data_bytes);
        exit(1);
    }
    for (size_t i = 0; i < data_bytes; i++) {
        copy[i] = data[i];
    }
    (void)LLVMFuzzerTestOneInput(copy, data_bytes);
    free(copy);
    inputs_replayed++;
}

static void replay_file(const char *path)
{
    static uint8_t data[REPLAY_INPUT_MAX_BYTES];
    FILE *file = fopen(path, "rb");
    size_t data_bytes;

    if (file == NULL) {
        fprintf(stderr, "%s: could not open\n", path);
        exit(1);
    }
    data_bytes = fread(data, 1, sizeof data, file);
    if (ferror(file) || !feof(file)) {
        fprintf(stderr, "%s: could not read, or longer than %u bytes\n", path,
                REPLAY_INPUT_MAX_BYTES);
        exit(1);
    }
    fclose(file);
    replay_bytes(data, data_bytes);
}

static void replay_folder(const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    char path[REPLAY_PATH_MAX_BYTES];

    if (dir == NULL) {
        fprintf(stderr, "%s: could not open\n", folder);
        exit(1);
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path) {
            fprintf(stderr, "%s: path too long\n", folder);
            exit(1);
        }
        replay_file(path);
    }
    closedir(dir);
}

int main(int argc, char **argv)
{
    replay_bytes((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat status;

        if (stat(argv[i], &status) == 0 && S_ISDIR(status.st_mode)) {
            replay_folder(argv[i]);
        } else {
            replay_file(argv[i]);
        }
    }
    printf("%zu inputs\n", inputs_replayed);
    return 0;
}
