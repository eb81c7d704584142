#include "cli/command.h"

#include "kluis/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536

static enum kl_status read_stdin(struct kl_buf *ret, struct kl_err *err)
{
    struct kl_buf buf;
    kl_buf_init(&buf, CLI_INPUT_MAX_BYTES);
    unsigned char piece[4096];
    for (;;) {
        ssize_t got = read(STDIN_FILENO, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            kl_buf_done(&buf);
            return kl_fail(err, KL_ERR_IO, "stdin", "standard input cannot be read", "read: %s",
                           strerror(errno));
        }
        if (got == 0)
            break;
        kl_buf_add(&buf, piece, (size_t)got);
    }
    enum kl_status status = kl_buf_status(&buf, err);
    if (status != KL_OK) {
        kl_buf_done(&buf);
        return status;
    }
    *ret = buf;
    return KL_OK;
}

enum kl_status cli_input_read(const char *path, struct kl_buf *ret, struct kl_err *err)
{
    if (path != NULL && strcmp(path, "-") != 0)
        return kl_file_read(path, CLI_INPUT_MAX_BYTES, ret, err);
    if (isatty(STDIN_FILENO))
        (void)fputs("reading from standard input; end with Ctrl-D\n", stderr);
    return read_stdin(ret, err);
}

enum kl_status cli_input_line(const char *prompt, struct kl_buf *ret, struct kl_err *err)
{
    struct termios saved;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved) == 0;
    if (terminal) {
        struct termios silent = saved;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
        (void)fprintf(stderr, "%s: ", prompt);
    }
    struct kl_buf line;
    kl_buf_init(&line, LINE_MAX_BYTES);
    unsigned char byte = 0;
    while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
        kl_buf_add_byte(&line, byte);
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
        (void)fputc('\n', stderr);
    }
    if (line.size > 0 && line.bytes[line.size - 1] == '\r')
        line.bytes[--line.size] = '\0';
    enum kl_status status = kl_buf_status(&line, err);
    if (status == KL_OK && line.size == 0)
        status = kl_failf(err, KL_ERR_INVALID, "empty_input",
                          "%s: nothing came from standard input", prompt);
    if (status != KL_OK) {
        kl_buf_done(&line);
        return status;
    }
    *ret = line;
    return KL_OK;
}

bool cli_input_confirm(const struct cli_call *call, const char *question)
{
    if (cli_call_is_set(call, "yes"))
        return true;
    if (!isatty(STDIN_FILENO)) {
        (void)fputs("kluis: this destroys; add --yes to go on without being asked\n", stderr);
        return false;
    }
    (void)fprintf(stderr, "%s [y/N] ", question);
    char answer[8];
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}
