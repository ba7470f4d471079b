/*
 * Composes the JSON document of env: a few strings, the vCPUs, the errata.
 */
#include "vm/env.h"

#include <inttypes.h>

static void put_string(struct text *out, const char *string)
{
    text_string(out, "\"");
    for (; *string; string++) {
        unsigned char c = (unsigned char)*string;
        if (c < 0x20)
            text_printf(out, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            text_printf(out, "\\%c", c);
        else
            text_bytes(out, string, 1);
    }
    text_string(out, "\"");
}

static void put_member(struct text *out, const char *name, const char *value)
{
    text_string(out, "  ");
    put_string(out, name);
    text_string(out, ": ");
    put_string(out, value);
    text_string(out, ",\n");
}

static void put_vcpus(const struct vm *vm, struct text *out)
{
    size_t count = vm->conf->cpu_count;

    text_string(out, "  \"vcpus\": [\n");
    for (size_t i = 0; i < count; i++) {
        text_printf(out, "    { \"tid\": %ld, \"last_known_ip\": %" PRIu64 " }%s\n",
                    (long)vm->vcpus[i].tid, vm_ip(vm, i), i + 1 < count ? "," : "");
    }
    text_string(out, "  ],\n");
}

static void put_erratum(struct text *out, const struct erratum *erratum)
{
    static const char *const words[] = {
        [ERRATUM_OFF] = "off", [ERRATUM_ON] = "on", [ERRATUM_AUTO] = "auto"};

    put_string(out, erratum->id);
    if (erratum->kind == ERRATUM_NUMBER)
        text_printf(out, ": %" PRIu64, erratum->number);
    else
        text_printf(out, ": \"%s\"", words[erratum->kind]);
}

static void put_cpu_errata(struct text *out, size_t index, const struct errata *errata)
{
    text_printf(out, "\"cpu%zu\": { ", index);
    for (size_t i = 0; i < errata->count; i++) {
        text_string(out, i > 0 ? ", " : "");
        put_erratum(out, &errata->items[i]);
    }
    text_string(out, " }");
}

static void put_errata(const struct conf *conf, struct text *out)
{
    const char *separator = "\n    ";

    text_string(out, "  \"errata\": {");
    for (size_t i = 0; i < conf->errata.count; i++) {
        text_string(out, separator);
        put_erratum(out, &conf->errata.items[i]);
        separator = ",\n    ";
    }
    for (size_t i = 0; i < conf->cpu_count; i++) {
        if (conf->cpus[i].errata.count == 0)
            continue;
        text_string(out, separator);
        put_cpu_errata(out, i, &conf->cpus[i].errata);
        separator = ",\n    ";
    }
    text_string(out, separator[0] == ',' ? "\n  }\n" : "}\n");
}

void env_compose(const struct vm *vm, struct text *out)
{
    const struct conf *conf = vm->conf;

    if (conf->has_template) {
        text_bytes(out, conf->template.data, conf->template.length);
        return;
    }
    text_string(out, "{\n");
    put_member(out, "simulator", "qvm simulator, not QNX");
    put_member(out, "system", conf->system);
    put_member(out, "machine", conf_machine_name(vm->conf));
    put_vcpus(vm, out);
    put_errata(conf, out);
    text_string(out, "}\n");
}
