/* `kluisd restore`: puts a backup back while no server runs, or ends a restore. */
#include "api/command.h"

#include "kluis/base/time.h"
#include "kluis/vault/backup.h"
#include "kluis/vault/restore.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_CHARS 40

/* A bar on a terminal, nothing elsewhere. */
static void show_progress(void *context, double done)
{
    char bar[BAR_CHARS + 1];
    int filled = (int)(done * BAR_CHARS);

    (void)context;
    if (!isatty(STDERR_FILENO))
        return;
    for (int i = 0; i < BAR_CHARS; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_CHARS] = '\0';
    (void)fprintf(stderr, "\rrestoring [%s] %3d%%%s", bar, (int)(done * 100),
                  done >= 1.0 ? "\n" : "");
}

static void say_result(const struct vault_restore_options *options,
                       const struct vault_restore_result *result)
{
    char id[KL_ID_TEXT_BYTES];
    char taken[KL_TIME_TEXT_BYTES];

    kl_id_format(VAULT_BACKUP_PREFIX, &result->backup, id);
    kl_time_format(result->taken_us, taken);
    (void)printf("restored %s, taken at %s\n", id, taken);
    (void)printf("subjects: %" PRIu64 " back, %" PRIu64 " erased since, %" PRIu64
                 " damaged, %" PRIu64 " unknown to the keys\n",
                 result->subjects, result->subjects_erased, result->subjects_damaged,
                 result->subjects_unknown);
    (void)printf("values: %" PRIu64 " back, %" PRIu64
                 " erased, overwritten or swept since, %" PRIu64 " damaged\n",
                 result->values, result->values_erased, result->values_damaged);
    if (result->aside[0] != '\0')
        (void)printf("the data that was there lies in %s: remove it when you no longer need it\n",
                     result->aside);
    if (options->keys_from != NULL)
        (void)printf(
            "%s is no mirror any more, but still holds a root key: destroy it (shred -u %s/root), and make a new mirror with kluisd mirror add\n",
            options->keys_from, options->keys_from);
    (void)printf(
        "set aside: %" PRIu64
        " slots that this backup does not know (up to 4095 of a tenant's were never used), and what people whom it knows were changed to after it.\n"
        "A newer backup still brings them back. When there is none: kluisd restore --finish --confirm %" PRIu64
        "\n",
        result->unknown_slots, result->unknown_slots);
}

static enum kl_status restore(const struct kl_config *config, const struct vault_options *vault,
                              struct kl_err *err)
{
    struct vault_restore_options options = {.vault = vault,
                                            .from = kl_config_text(config, "from"),
                                            .keys_from = kl_config_text(config, "keys-from"),
                                            .progress = show_progress};
    const char *text = kl_config_text(config, "backup");
    struct vault_restore_result result;
    struct kl_id backup;
    enum kl_status status = KL_OK;

    if (options.from == NULL)
        return kl_fail(err, KL_ERR_INVALID, "usage",
                       "--from DIR is needed: the directory of backups", NULL);
    if (text != NULL) {
        status = kl_id_parse(VAULT_BACKUP_PREFIX, text, &backup, err);
        options.backup = &backup;
    }
    if (status == KL_OK)
        status = vault_restore(&options, &result, err);
    if (status == KL_OK)
        say_result(&options, &result);
    return status;
}

static enum kl_status finish(const struct kl_config *config, const struct vault_options *vault,
                             struct kl_err *err)
{
    int64_t confirmed = kl_config_int(config, "confirm");
    struct vault_restore_aside aside = {0};
    enum kl_status status = vault_restore_finish(
        vault, confirmed >= 0, confirmed >= 0 ? (uint64_t)confirmed : 0, &aside, err);

    if (status == KL_OK && confirmed >= 0)
        (void)printf("finished: %" PRIu64 " slots shredded, and of %" PRIu64
                     " subjects what they were changed to after the backup\n",
                     aside.slots, aside.subjects);
    else if (status == KL_OK)
        (void)printf(
            "%" PRIu64 " slots are set aside, and of %" PRIu64
            " subjects whatever they were changed to after the backup: kluisd restore --finish --confirm %" PRIu64
            " shreds them, and no backup brings that back then\n",
            aside.slots, aside.subjects, aside.slots);
    return status;
}

enum api_exit api_command_restore(const struct kl_config *config)
{
    struct kl_err err = {0};
    struct vault_options options;
    struct kl_secret *passphrase = NULL;
    enum kl_status status = api_config_vault(config, &options, &err);

    if (status == KL_OK)
        status = api_passphrase_read(config, options.custodian, false, &passphrase,
                                     &options.passphrase_bytes, &err);
    if (status == KL_OK && passphrase != NULL)
        options.passphrase = (const char *)kl_secret_peek(passphrase);
    if (status == KL_OK)
        status = kl_config_bool(config, "finish") ? finish(config, &options, &err)
                                                  : restore(config, &options, &err);
    kl_secret_free(passphrase);
    if (status == KL_OK)
        return API_DONE;
    api_command_say(&err);
    return strcmp(err.code, "usage") == 0 ? API_USAGE : API_FAILED;
}
