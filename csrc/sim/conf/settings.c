#include "conf/settings.h"

#include <string.h>

/* Its index; the count, if there is none. */
static size_t index_of(const struct settings *settings, const char *prefix,
                       const char *name)
{
    size_t length = strlen(prefix);

    for (size_t i = 0; i < settings->count; i++) {
        const char *present = settings->items[i].name;
        if (strncmp(present, prefix, length) == 0 && strcmp(present + length, name) == 0)
            return i;
    }
    return settings->count;
}

void settings_put(struct settings *settings, struct setting setting)
{
    size_t index = index_of(settings, "", setting.name);

    if (index == settings->count) {
        settings->items = place_grow(settings->items, settings->count, sizeof setting);
        settings->count++;
    }
    settings->items[index] = setting;
}

const struct setting *settings_find(const struct settings *settings, const char *prefix,
                                    const char *name)
{
    size_t index = index_of(settings, prefix, name);

    return index < settings->count ? &settings->items[index] : NULL;
}
